// Retrieval among clips of several vectors each, both ways, from the vectors to the recalls: the 1,520 clips
// of VGGSound's test subset with 16 pictures each, as CAV-MAE Sync is measured. JSON with
// --benchmark_format=json.
#include <benchmark/benchmark.h>

#include "cavmae/core/parallel.h"
#include "cavmae/machine/machine.h"
#include "cavmae/metrics/frame_scores.h"

namespace cavmae {
namespace {

void BM_FrameRetrieval(benchmark::State& state, FrameScore score) {
  constexpr int64_t kClips = 1520, kPictures = 16, kWidth = 768;
  at::set_num_threads(inspect_machine().usable_cores);
  torch::manual_seed(1);
  const torch::Tensor audio = torch::randn({kClips, kPictures, kWidth});
  const torch::Tensor video = torch::randn({kClips, kPictures, kWidth});
  for (auto _ : state) benchmark::DoNotOptimize(evaluate_frame_retrieval(audio, video, score).clips);
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * 2 * kClips);  // queries
}
BENCHMARK_CAPTURE(BM_FrameRetrieval, mean, FrameScore::mean)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_FrameRetrieval, diagonal_mean, FrameScore::diagonal_mean)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_FrameRetrieval, diagonal_max, FrameScore::diagonal_max)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_FrameRetrieval, max, FrameScore::max)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace cavmae

BENCHMARK_MAIN();
