#include "cavmae/search/file_accumulator.h"

#include <algorithm>

#include "cavmae/search/segment.h"

namespace cavmae {

void FileAccumulator::add(const FileMoments::Piece& piece, const torch::Tensor& vector) {
  const bool is_audio = piece.side == ClipSide::audio;
  (is_audio ? file_.has_audio : file_.has_video) = true;
  if (piece.moment >= 0)
    (is_audio ? audio_ : video_)[static_cast<size_t>(piece.moment)] = vector;
  else
    pictures_.push_back({.at_ms = piece.at_ms, .vector = vector});
}

// The mean over the pictures that are shown within it; of a moment without length, the one at its start.
torch::Tensor FileAccumulator::picture_of(size_t moment) const {
  const FileMoments::Span span = moments_[moment];
  const auto begin = std::ranges::lower_bound(pictures_, span.start_ms, {}, &Picture::at_ms);
  const auto end =
      std::ranges::lower_bound(pictures_, std::max(span.end_ms, span.start_ms + 1), {}, &Picture::at_ms);
  std::vector<torch::Tensor> within;
  for (auto picture = begin; picture < end; ++picture) within.push_back(picture->vector);
  return within.empty() ? torch::Tensor() : torch::stack(within).mean(0);
}

std::vector<NewMoment> FileAccumulator::finish(torch::ScalarType type) {
  std::ranges::stable_sort(pictures_, {}, &Picture::at_ms);
  std::vector<NewMoment> out;
  for (size_t i = 0; i < moments_.size(); ++i) {
    const torch::Tensor picture = video_[i].defined() ? video_[i] : picture_of(i);
    if (!audio_[i].defined() && !picture.defined()) continue;
    out.push_back({.start_ms = moments_[i].start_ms,
                   .end_ms = moments_[i].end_ms,
                   .audio = vector_bytes(audio_[i], type),
                   .video = vector_bytes(picture, type)});
    file_.end_ms = std::max(file_.end_ms, moments_[i].end_ms);
  }
  return out;
}

}  // namespace cavmae
