// Reading a clip on one core: its sound, one picture, ten pictures. The clip, 10 s of 640x360 at 25 pictures
// a second with sound at 44.1 kHz, is made first.
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <unistd.h>

#include "cavmae/core/parallel.h"
#include "cavmae/core/random.h"
#include "cavmae/features/media_tensors.h"
#include "cavmae/media/image_writer.h"
#include "cavmae/media/media_reader.h"
#include "cavmae/media/video_writer.h"

namespace cavmae {
namespace {

constexpr int64_t kWidth = 640, kHeight = 360, kRate = 25, kSeconds = 10;

// Waves that move, with a little noise: as hard to decode as an ordinary video.
torch::Tensor picture_at(double seconds, const torch::Tensor& grain) {
  const torch::Tensor x = at::arange(kWidth, torch::kFloat32).view({1, kWidth, 1}) / 40;
  const torch::Tensor y = at::arange(kHeight, torch::kFloat32).view({kHeight, 1, 1}) / 30;
  const torch::Tensor c = at::arange(3, torch::kFloat32).view({1, 1, 3});
  const torch::Tensor waves =
      (x + 2 * seconds + c).sin() + (y - 3 * seconds + 2 * c).cos() + ((x + y) / 3 + seconds).sin();
  const auto shift = static_cast<int64_t>(seconds * 137);
  return (waves * 35 + 128 + at::roll(grain, {shift, shift}, {0, 1})).clamp(0, 255).to(torch::kUInt8);
}

// The folder with the clip; removed at the end.
class Clip {
 public:
  Clip() : folder_(std::filesystem::temp_directory_path() / ("cavmae_decode_" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
    VideoWriter writer(
        video(), {.width_px = kWidth, .height_px = kHeight, .frame_rate_hz = kRate, .sample_rate_hz = 44100});
    Random random(5);
    torch::Tensor grain = torch::empty({kHeight, kWidth, 1}), sound = torch::empty({44100 * kSeconds});
    for (int64_t i = 0; i < grain.numel(); ++i)
      grain.data_ptr<float>()[i] = static_cast<float>(random.uniform(-8, 8));
    for (int64_t i = 0; i < sound.numel(); ++i)
      sound.data_ptr<float>()[i] =
          0.3f * std::sin(0.05f * static_cast<float>(i)) + static_cast<float>(random.uniform(-0.1, 0.1));
    for (int64_t i = 0; i < kSeconds * kRate; ++i)
      writer.add_frame(to_picture(picture_at(static_cast<double>(i) / kRate, grain)));
    writer.add_audio(to_waveform(sound));
    writer.finish();
    write_png(picture(), to_picture(picture_at(1.0, grain)));
  }
  ~Clip() { std::filesystem::remove_all(folder_); }
  Clip(const Clip&) = delete;
  Clip& operator=(const Clip&) = delete;

  std::filesystem::path video() const { return folder_ / "clip.mp4"; }
  std::filesystem::path picture() const { return folder_ / "picture.png"; }

 private:
  std::filesystem::path folder_;
};

void register_benchmarks(const Clip& clip) {
  const auto add = [](const char* name, auto run) {
    benchmark::RegisterBenchmark(name, [run](benchmark::State& state) {
      for (auto _ : state) run();
      state.SetItemsProcessed(state.iterations());
    })->Unit(benchmark::kMillisecond);
  };
  std::vector<double> ten;
  for (int i = 0; i < 10; ++i) ten.push_back(i);
  const auto video = clip.video(), picture = clip.picture();
  add("probe", [=] { benchmark::DoNotOptimize(probe_media(video).duration_seconds); });
  add("audio_10s", [=] { benchmark::DoNotOptimize(read_audio(video, {}).data()); });
  add("one_frame_in_the_middle", [=] { benchmark::DoNotOptimize(read_frames(video, {5.0})[0].pixels()); });
  add("ten_frames", [=] { benchmark::DoNotOptimize(read_frames(video, ten)[9].pixels()); });
  add("png_picture", [=] { benchmark::DoNotOptimize(read_image(picture).pixels()); });
}

}  // namespace
}  // namespace cavmae

int main(int argc, char** argv) {
  at::set_num_threads(1);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  const cavmae::Clip clip;
  cavmae::register_benchmarks(clip);
  benchmark::RunSpecifiedBenchmarks();
}
