#include "cavmae/search/export.h"

#include <algorithm>
#include <cmath>

#include "cavmae/core/channel_mix.h"
#include "cavmae/core/error.h"
#include "cavmae/media/media_reader.h"
#include "cavmae/media/video_writer.h"

namespace cavmae {
namespace {

constexpr int64_t kMaxWidth = 1280;
constexpr int64_t kRateHz = 48000;

int64_t even(int64_t pixels) {
  return std::max<int64_t>(2, pixels / 2 * 2);
}

// uint8 [H, W, 3] of another size.
torch::Tensor resized(const torch::Tensor& image, int64_t height, int64_t width) {
  if (image.size(0) == height && image.size(1) == width) return image;
  const auto planes = image.permute({2, 0, 1}).unsqueeze(0).to(torch::kFloat32);
  return at::_upsample_bilinear2d_aa(planes, {height, width}, /*align_corners=*/false)[0]
      .round()
      .clamp(0, 255)
      .to(torch::kUInt8)
      .permute({1, 2, 0})
      .contiguous();
}

}  // namespace

void export_moment(const LibraryFile& file, const Moment& moment, const std::filesystem::path& out) {
  const MediaSource pictures(file.path), sound(file.audio_path.empty() ? file.path : file.audio_path);
  const double start = to_seconds(moment.start_ms);
  const double length = std::max(1.0, to_seconds(moment.end_ms - moment.start_ms));
  const MediaInfo info = probe_media(pictures);
  VideoWriterOptions options{.sample_rate_hz = kRateHz};
  if (info.has_video) {
    const double scale = std::min(1.0, static_cast<double>(kMaxWidth) / static_cast<double>(info.width_px));
    options.width_px = even(std::llround(static_cast<double>(info.width_px) * scale));
    options.height_px = even(std::llround(static_cast<double>(info.height_px) * scale));
    const double rate =
        info.is_picture || !(info.frame_rate_hz >= 1) ? 1.0 : std::min(info.frame_rate_hz, 60.0);
    options.frame_rate_hz = std::llround(rate);
  }
  VideoWriter writer(out, options);
  if (file.has_video && info.has_video) {
    std::vector<double> times;
    const auto count =
        std::max<int64_t>(1, std::llround(length * static_cast<double>(options.frame_rate_hz)));
    for (int64_t i = 0; i < count; ++i)
      times.push_back(start + static_cast<double>(i) / static_cast<double>(options.frame_rate_hz));
    const MediaTimes* known = &info.times;
    constexpr size_t kTogether = 32;  // pictures in memory
    for (size_t first = 0; first < times.size(); first += kTogether) {
      const std::vector<double> some(
          times.begin() + static_cast<std::ptrdiff_t>(first),
          times.begin() + static_cast<std::ptrdiff_t>(std::min(times.size(), first + kTogether)));
      for (const torch::Tensor& image : read_frames(pictures, some, {}, known))
        writer.add_frame(resized(image, options.height_px, options.width_px));
    }
  }
  if (file.has_audio)
    writer.add_audio(read_audio(sound, {.start_seconds = start,
                                        .duration_seconds = length,
                                        .sample_rate_hz = kRateHz,
                                        .channels = ChannelMix::mean}));
  writer.finish();
}

}  // namespace cavmae
