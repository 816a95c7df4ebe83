// The features of a clip on one core: filterbank, augmentation, image transform.
#include <benchmark/benchmark.h>

#include "cavmae/core/parallel.h"
#include "cavmae/core/random.h"
#include "cavmae/features/augment.h"
#include "cavmae/features/fbank.h"
#include "cavmae/features/fbank_plan.h"
#include "cavmae/features/image_transform.h"
#include "cavmae/features/media_tensors.h"
#include "cavmae/picture/resize.h"

namespace cavmae {
namespace {

torch::Tensor noise(int64_t count) {
  Random random(1);
  torch::Tensor samples = torch::empty({count}, torch::kFloat32);
  for (int64_t i = 0; i < count; ++i)
    samples.data_ptr<float>()[i] = static_cast<float>(random.uniform(-0.5, 0.5));
  return samples;
}

torch::Tensor picture(int64_t height, int64_t width) {
  return (noise(height * width * 3) * 255 + 128).to(torch::kUInt8).view({height, width, 3});
}

// Seconds of sound as the argument.
void BM_Fbank(benchmark::State& state) {
  const Fbank fbank;
  const torch::Tensor waveform = noise(state.range(0) * 16000);
  for (auto _ : state) benchmark::DoNotOptimize(fbank.compute(waveform).data_ptr());
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Fbank)->Arg(10)->Unit(benchmark::kMillisecond);

// The argument is the version, from the slowest.
void BM_FbankKernel(benchmark::State& state) {
  const FbankKernel& kernel = *usable_fbank_kernels().at(static_cast<size_t>(state.range(0)));
  state.SetLabel(kernel.name);
  const FbankPlan plan = make_fbank_plan({.window = std::vector<float>(400, 0.5f)});
  const torch::Tensor waveform = noise(160000);
  torch::Tensor scratch = torch::empty({scratch_floats(plan)}), out = torch::empty({998, 128});
  const FbankTask task{.waveform = waveform.data_ptr<float>(),
                       .num_frames = 998,
                       .scratch = scratch.data_ptr<float>(),
                       .out = out.data_ptr<float>()};
  for (auto _ : state) kernel.functions(plan, task);
}
BENCHMARK(BM_FbankKernel)
    ->DenseRange(0, static_cast<int64_t>(usable_fbank_kernels().size()) - 1)
    ->Unit(benchmark::kMillisecond);

void BM_FinishFbank(benchmark::State& state) {
  Random random(2);
  const torch::Tensor fbank = torch::zeros({998, 128});
  const FinishOptions options{.mean = -5.081, .std = 4.4849, .noise = &random, .roll = &random};
  for (auto _ : state) benchmark::DoNotOptimize(finish_fbank(fbank, options).data_ptr());
}
BENCHMARK(BM_FinishFbank)->Unit(benchmark::kMillisecond);

// Height and width of the picture as the arguments.
void BM_ResizeAndCrop(benchmark::State& state) {
  const Picture image = to_picture(picture(state.range(0), state.range(1)));
  for (auto _ : state) benchmark::DoNotOptimize(resize_and_crop(image, 224).pixels());
}
BENCHMARK(BM_ResizeAndCrop)->Args({360, 640})->Args({1080, 1920})->Unit(benchmark::kMillisecond);

void BM_NormalizeImage(benchmark::State& state) {
  const torch::Tensor image = picture(224, 224);
  for (auto _ : state) benchmark::DoNotOptimize(normalize_image(image).data_ptr());
}
BENCHMARK(BM_NormalizeImage)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace cavmae

int main(int argc, char** argv) {
  at::set_num_threads(1);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
