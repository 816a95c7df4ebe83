// How fast clips become batches: from .mp4 files, from .wav and .jpg, and from the cache. Makes its own clips
// and prints one JSON object. Usage: loader_benchmark [clips [workers]]
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>

#include <unistd.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/json.h"
#include "cavmae/data/loader.h"
#include "cavmae/data/read_clips.h"
#include "cavmae/features/media_tensors.h"
#include "cavmae/media/image_writer.h"
#include "cavmae/media/video_writer.h"

#include "benchmarks/benchmark_main.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

constexpr double kClipSeconds = 10.0;
constexpr int64_t kRateHz = 16000, kFramesPerSecond = 25, kWidth = 320, kHeight = 240;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// A picture with some structure, another one each time: uint8 [H, W, 3].
torch::Tensor picture(double phase) {
  const auto x = torch::linspace(0, 6, kWidth), y = torch::linspace(0, 4, kHeight).unsqueeze(1);
  const auto red = (x + phase).sin() * (y - phase).cos(), green = (x * y + phase).sin();
  const auto blue = (x * x - y * 3 + phase).cos();
  return torch::stack({red, green, blue}, 2).mul(127).add(128).to(torch::kUInt8);
}

torch::Tensor waveform(int64_t clip) {
  const auto n = static_cast<int64_t>(kClipSeconds * kRateHz);
  const auto t = torch::arange(n, torch::kFloat32).div(kRateHz);
  return (t * (600.0 + 40.0 * static_cast<double>(clip % 50))).sin().mul(0.3) + torch::randn({n}).mul(0.02);
}

std::string wav_bytes(const torch::Tensor& samples) {
  const auto pcm = samples.mul(32000).clamp(-32000, 32000).to(torch::kInt16).contiguous();
  const auto size = static_cast<uint32_t>(pcm.nbytes());
  std::string bytes;
  const auto put = [&](auto value) { bytes.append(reinterpret_cast<const char*>(&value), sizeof(value)); };
  bytes += "RIFF", put(36 + size), bytes += "WAVEfmt ", put(uint32_t{16}), put(uint16_t{1}), put(uint16_t{1});
  put(uint32_t{kRateHz}), put(uint32_t{2 * kRateHz}), put(uint16_t{2}), put(uint16_t{16});
  bytes += "data", put(size);
  return bytes.append(static_cast<const char*>(pcm.data_ptr()), size);
}

void make_video(const fs::path& path, int64_t clip) {
  VideoWriter writer(path, {.width_px = kWidth, .height_px = kHeight, .frame_rate_hz = kFramesPerSecond});
  const auto num_frames = static_cast<int64_t>(kClipSeconds) * kFramesPerSecond;
  for (int64_t i = 0; i < num_frames; ++i)
    writer.add_frame(to_picture(picture(static_cast<double>(clip) + 0.05 * static_cast<double>(i))));
  writer.add_audio(to_waveform(waveform(clip)));
  writer.finish();
}

// Folders "video" and "separate" below `folder`, with the same clips.
void make_clips(const fs::path& folder, int64_t num_clips) {
  make_directories(folder / "video");
  make_directories(folder / "separate");
  std::string manifest;
  for (int64_t i = 0; i < num_clips; ++i) {
    const std::string name = std::to_string(i);
    make_video(folder / "video" / (name + ".mp4"), i);
    write_file(folder / "separate" / (name + ".wav"), wav_bytes(waveform(i)));
    write_file(folder / "separate" / (name + ".jpg"),
               encode_jpeg(to_picture(picture(static_cast<double>(i)))));
    manifest += Json{{"audio", name + ".wav"}, {"image", name + ".jpg"}}.dump() + "\n";
  }
  write_file(folder / "separate" / "manifest.jsonl", manifest);
}

// Clips a second of one epoch with the view of training.
double samples_per_second(const fs::path& data, const fs::path& cache, int64_t num_workers, int64_t epoch) {
  const auto log = null_log();
  auto clips = read_clip_sources({data}, *log);
  const LoaderOptions options{.batch_size = 8, .num_workers = num_workers, .max_bad_ratio = 0.0};
  Loader loader(std::move(clips), std::make_shared<const ClipReader>(InputSpec{}, cache, log),
                training_view(), Need::both, options, log);
  int64_t num_samples = 0;
  const auto start = std::chrono::steady_clock::now();
  loader.start_epoch({.epoch = epoch, .drop_last = false});
  while (const auto batch = loader.next()) num_samples += static_cast<int64_t>(batch->indices.size());
  return static_cast<double>(num_samples) / seconds_since(start);
}

// The first epoch, the second, and the best of some more when they are quick.
Json measure(const fs::path& data, const fs::path& cache, int64_t num_workers) {
  Json result;
  result["without_cache"] = samples_per_second(data, {}, num_workers, 0);
  result["filling_cache"] = samples_per_second(data, cache, num_workers, 0);
  double best = 0.0;
  for (int64_t epoch = 1; epoch <= 5; ++epoch)
    best = std::max(best, samples_per_second(data, cache, num_workers, epoch));
  result["from_cache"] = best;
  return result;
}

int run(int argc, char** argv) {
  const int64_t num_clips = argc > 1 ? std::atoll(argv[1]) : 64,
                num_workers = argc > 2 ? std::atoll(argv[2]) : 2;
  CAVMAE_CHECK(num_clips >= 1 && num_workers >= 0, "usage: loader_benchmark [clips [workers]]");
  const fs::path folder =
      fs::temp_directory_path() / ("cavmae-loader-benchmark-" + std::to_string(::getpid()));
  make_clips(folder, num_clips);
  Json report{{"benchmark", "loader"},
              {"clips", num_clips},
              {"workers", num_workers},
              {"clip_seconds", kClipSeconds},
              {"width_px", kWidth},
              {"height_px", kHeight},
              {"frame_rate_hz", kFramesPerSecond},
              {"unit", "samples/s"}};
  report["mp4"] = measure(folder / "video", folder / "cache", num_workers);
  report["wav_jpg"] = measure(folder / "separate", folder / "cache", num_workers);
  fs::remove_all(folder);
  std::cout << report.dump(2) << std::endl;
  return 0;
}

}  // namespace
}  // namespace cavmae

int main(int argc, char** argv) {
  return cavmae::benchmark_main(&cavmae::run, argc, argv);
}
