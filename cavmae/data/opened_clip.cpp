#include "cavmae/data/opened_clip.h"

#include <algorithm>
#include <set>

#include "cavmae/core/error.h"
#include "cavmae/picture/resize.h"

namespace cavmae {

std::vector<double> picture_times(const ClipWindow& window, const std::vector<int64_t>& positions,
                                  int64_t num_frames) {
  std::vector<double> times;
  for (const int64_t i : positions)
    times.push_back(window.start_seconds +
                    window.length_seconds * static_cast<double>(i) / static_cast<double>(num_frames));
  return times;
}

const FileFacts& OpenedClip::facts(const MediaSource& source, const std::function<FileFacts()>& read) {
  const std::string identity = source.identity();
  const auto known = facts_.find(identity);
  return known != facts_.end() ? known->second : facts_.emplace(identity, read()).first->second;
}

std::vector<float> OpenedClip::audio(const MediaSource& source, const AudioRequest& request, bool* has_gaps) {
  if (!audio_) audio_.emplace(source, request);
  return audio_->read(request.start_seconds, has_gaps);
}

void OpenedClip::take(double seconds, int64_t size) {
  Square square;
  try {
    const Picture picture = frames_->at(seconds);
    if (!last_picture_.is_there() || !picture.shares(last_picture_)) {
      last_square_ = resize_and_crop(picture, size);
      last_picture_ = picture;
    }
    square.picture = last_square_;
  } catch (const MediaError& e) {
    square.error = e.what();
  }
  squares_.emplace(seconds, std::move(square));
}

OpenedClip::Pictures OpenedClip::squares(const MediaSource& source, const MediaChoice& choice,
                                         const MediaTimes* source_times, const ClipWindow& window,
                                         const std::vector<int64_t>& positions, const InputSpec& spec) {
  if (!frames_) frames_.emplace(source, choice, source_times);
  const std::vector<double> times = picture_times(window, positions, spec.num_frames);
  const double last = times.back();
  std::set<double> wanted(times.begin(), times.end());
  auto later = std::ranges::upper_bound(windows_, window.start_seconds, {}, &ClipWindow::start_seconds);
  for (; later != windows_.end() && later->start_seconds <= last; ++later)
    for (const double time : picture_times(*later, positions, spec.num_frames))
      if (time <= last) wanted.insert(time);
  squares_.erase(squares_.begin(), squares_.lower_bound(window.start_seconds));
  for (const double time : wanted)
    if (!squares_.contains(time)) take(time, spec.image_size);
  Pictures pictures;
  for (const double time : times) {
    const Square& square = squares_.at(time);
    CAVMAE_CHECK_AS(MediaError, square.picture.is_there(), square.error);
    pictures.push_back(square.picture);
  }
  return pictures;
}

OpenedClip::Pictures OpenedClip::stills(const std::vector<int64_t>& positions,
                                        const std::function<Pictures()>& read) {
  const auto kept = stills_.find(positions);
  return kept != stills_.end() ? kept->second : stills_.emplace(positions, read()).first->second;
}

}  // namespace cavmae
