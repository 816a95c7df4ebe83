#include "cavmae/media/film_cut.h"

#include <algorithm>
#include <cmath>

#include "cavmae/media/media_sequence.h"
#include "cavmae/picture/resize.h"

namespace cavmae {
namespace {

constexpr int64_t kRateHz = 48000;  // Opus has no other

int64_t whole_frame_rate(const FilmCut& cut) {
  const MediaInfo& info = *cut.info;
  if (info.is_picture || !(info.frame_rate_hz >= 1)) return 1;
  return std::llround(std::min(info.frame_rate_hz, cut.max_frame_rate_hz));
}

}  // namespace

std::unique_ptr<VideoWriter> write_film_cut(const FilmCut& cut, const std::filesystem::path& path,
                                            VideoContainer container) {
  const double length = std::max(1.0, cut.seconds);
  VideoWriterOptions options{.sample_rate_hz = kRateHz, .container = container};
  std::unique_ptr<VideoWriter> writer;
  if (!cut.pictures.empty()) {
    options.frame_rate_hz = whole_frame_rate(cut);
    const auto rate = static_cast<double>(options.frame_rate_hz);
    FrameSequence pictures(cut.pictures, {}, &cut.info->times);
    const int64_t count = std::max<int64_t>(1, std::llround(length * rate));
    for (int64_t i = 0; i < count; ++i) {
      const Picture picture = fit_width(pictures.at(cut.start_seconds + static_cast<double>(i) / rate),
                                        cut.max_width_px, /*step_px=*/2);
      if (writer == nullptr) {
        options.height_px = picture.height_px();
        options.width_px = picture.width_px();
        writer = std::make_unique<VideoWriter>(path, options);
      }
      writer->add_frame(picture);
    }
  } else {
    writer = std::make_unique<VideoWriter>(path, options);
  }
  if (!cut.sound.empty())
    writer->add_audio(read_audio(cut.sound, {.start_seconds = cut.start_seconds,
                                             .duration_seconds = length,
                                             .sample_rate_hz = kRateHz,
                                             .channels = ChannelMix::mean}));
  return writer;
}

}  // namespace cavmae
