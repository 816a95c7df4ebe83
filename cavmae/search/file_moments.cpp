#include "cavmae/search/file_moments.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/time_limit.h"
#include "cavmae/features/segments.h"

namespace cavmae {
namespace {

constexpr int64_t kFrameMilliseconds = 10;  // of a filterbank

int64_t start_of(const ClipSource& window) {
  return to_milliseconds(window.start_seconds.value_or(0.0));
}

}  // namespace

FileMoments::FileMoments(const ClipSource& file, std::shared_ptr<const ClipReader> reader, double hop_seconds,
                         double window_timeout_seconds)
    : name_(file.id), spec_(reader->spec()), timeout_seconds_(window_timeout_seconds) {
  const TimeLimit limit(timeout_seconds_);
  const bool is_aligned = spec_.alignment == Alignment::picture;
  const double window = spec_.window_seconds;
  const std::vector<ClipSource> tiles =
      windows_of_clip(file, *reader, Need::any, {.count = std::nullopt, .hop_seconds = window});
  if (tiles.size() == 1 && tiles[0].file.empty()) reader->clip_times(file, Need::any);  // says why
  const std::vector<ClipSource> windows =
      is_aligned
          ? tiles
          : windows_of_clip(file, *reader, Need::any, {.count = std::nullopt, .hop_seconds = hop_seconds});
  try {
    file_end_ms_ = to_milliseconds(reader->clip_times(file, Need::any).end_seconds);
  } catch (const MediaError&) {
    // One side cannot be opened, and windows are those of the other.
    file_end_ms_ = start_of(tiles.back()) + to_milliseconds(window);
  }
  limit.check_kept();
  if (is_aligned) {
    plan_aligned(tiles);
  } else {
    for (const ClipSource& at : windows) {
      const int64_t start = start_of(at), end = start + to_milliseconds(window);
      moments_.push_back(
          {.start_ms = start, .end_ms = file_end_ms_ > 0 ? std::min(end, file_end_ms_) : start});
    }
  }
  ViewOptions of_pictures{.frames = FrameChoice::all};
  if (is_aligned) {
    of_pictures.fits_segments = true;
    // The sides of a short file end together, so that what is spread over either lies side by side.
    if (tiles.size() == 1 && file_end_ms_ > 0) of_pictures.until_seconds = to_seconds(file_end_ms_);
  }
  const ViewOptions of_sound = is_aligned ? of_pictures : ViewOptions{.frames = FrameChoice::middle};
  audio_.emplace(
      Side{.side = ClipSide::audio, .windows = ClipWindows(windows, reader, of_sound, Need::audio)});
  video_.emplace(
      Side{.side = ClipSide::video, .windows = ClipWindows(tiles, reader, of_pictures, Need::video)});
}

// How much of a window the file has, in seconds.
double FileMoments::length_of(const ClipSource& window) const {
  if (file_end_ms_ == 0) return spec_.window_seconds;
  return std::min(spec_.window_seconds, to_seconds(file_end_ms_) - window.start_seconds.value_or(0.0));
}

// The pictures of a tile that no tile before it has shown.
std::vector<FileMoments::GridPicture> FileMoments::grid_of(const ClipSource& window,
                                                           int64_t& until_ms) const {
  const double start = window.start_seconds.value_or(0.0), length = length_of(window);
  // A photo is one moment.
  const bool is_one = spec_.alignment == Alignment::picture && file_end_ms_ == 0;
  std::vector<GridPicture> out;
  for (int64_t i = 0; i < (is_one ? 1 : spec_.num_frames); ++i) {
    const int64_t at =
        to_milliseconds(start + length * static_cast<double>(i) / static_cast<double>(spec_.num_frames));
    if (at >= until_ms) out.push_back({.at_ms = at, .position = i});
  }
  until_ms = to_milliseconds(start + length);
  return out;
}

void FileMoments::plan_aligned(const std::vector<ClipSource>& tiles) {
  int64_t until_ms = -1;
  for (const ClipSource& tile : tiles) {
    const SegmentPlan plan = segment_plan(spec_, length_of(tile));
    for (const GridPicture& picture : grid_of(tile, until_ms)) {
      const Segment segment = aligned_segment(plan, picture.position);
      const int64_t start = start_of(tile) + segment.start * kFrameMilliseconds;
      const int64_t end = start_of(tile) + segment.end * kFrameMilliseconds;
      // Neighbours at the ends of a tile share their segment, and starts tell moments apart.
      const int64_t earliest = moments_.empty() ? start : moments_.back().start_ms + 1;
      moments_.push_back({.start_ms = std::max(start, earliest),
                          .end_ms = file_end_ms_ > 0 ? std::min(end, file_end_ms_) : start});
    }
  }
}

void FileMoments::note_failure(ClipSide side, const std::string& reason) {
  for (const BadClip& known : failures_)
    if (known.side == side) return;
  failures_.push_back({.id = name_, .reason = reason, .side = side});
}

void FileMoments::take(Side& side, const ClipSource& window, const Sample& sample) {
  const bool is_aligned = spec_.alignment == Alignment::picture;
  if (side.side == ClipSide::audio && !is_aligned) {
    ready_.push_back(
        {.side = side.side, .input = sample.audio, .moment = static_cast<int64_t>(side.next) - 1});
    return;
  }
  const bool is_audio = side.side == ClipSide::audio;
  const torch::Tensor& inputs = is_audio ? sample.audio : sample.video;
  int64_t& next_aligned = next_aligned_[is_audio ? 0 : 1];
  for (const GridPicture& picture : grid_of(window, side.until_ms))
    ready_.push_back({.side = side.side,
                      .input = inputs[picture.position],
                      .moment = is_aligned ? next_aligned++ : -1,
                      .at_ms = picture.at_ms});
}

void FileMoments::leave_out(Side& side, const ClipSource& window) {
  const auto count = static_cast<int64_t>(grid_of(window, side.until_ms).size());
  next_aligned_[side.side == ClipSide::audio ? 0 : 1] += count;
}

void FileMoments::read_window(std::optional<Side>& side) {
  const ClipSource window = side->windows.windows()[side->next++];
  const ClipSide which = side->side;
  try {
    const TimeLimit limit(timeout_seconds_);
    const auto read = side->windows.next();
    limit.check_kept();
    take(*side, window, read->sample);
  } catch (const SideError& e) {
    if (!e.is_lacking()) note_failure(which, e.what());
    if (e.is_lacking()) {
      side.reset();
      return;
    }
    leave_out(*side, window);
  } catch (const MediaError& e) {
    note_failure(which, e.what());
    leave_out(*side, window);
  }
  if (side->next == side->windows.windows().size()) side.reset();
}

std::optional<FileMoments::Piece> FileMoments::next() {
  while (ready_.empty()) {
    if (!audio_ && !video_) return std::nullopt;
    const auto start = [](const std::optional<Side>& side) {
      return side ? start_of(side->windows.windows()[side->next]) : std::numeric_limits<int64_t>::max();
    };
    read_window(start(audio_) <= start(video_) ? audio_ : video_);
  }
  Piece piece = std::move(ready_.front());
  ready_.pop_front();
  return piece;
}

double FileMoments::share_done() const {
  double share = 1.0;
  for (const auto* side : {&audio_, &video_})
    if (*side)
      share = std::min(
          share, static_cast<double>((*side)->next) / static_cast<double>((*side)->windows.windows().size()));
  return share;
}

}  // namespace cavmae
