// Exact search in a matrix of embeddings, beside how fast the memory can be read at all. JSON with
// --benchmark_format=json.
#include <benchmark/benchmark.h>

#include "cavmae/eval/embed_file.h"
#include "cavmae/eval/nearest.h"
#include "cavmae/tensorfile/safetensors.h"

namespace cavmae {
namespace {

constexpr int64_t kWidth = 768;

torch::Tensor vectors(int64_t count, torch::ScalarType type) {
  torch::manual_seed(1);
  return torch::randn({count, kWidth}).to(type);
}

void count_work(benchmark::State& state, const torch::Tensor& queries, const torch::Tensor& matrix) {
  const auto calls = static_cast<int64_t>(state.iterations());
  state.SetItemsProcessed(calls * queries.size(0));
  state.SetBytesProcessed(calls * static_cast<int64_t>(matrix.nbytes()));
}

// Queries and rows as the arguments.
void BM_Nearest(benchmark::State& state, torch::ScalarType type) {
  const torch::Tensor queries = vectors(state.range(0), torch::kFloat32);
  const torch::Tensor matrix = vectors(state.range(1), type);
  for (auto _ : state) benchmark::DoNotOptimize(nearest(queries, matrix, 10).indices.data_ptr());
  count_work(state, queries, matrix);
}
BENCHMARK_CAPTURE(BM_Nearest, fp32, torch::kFloat32)
    ->ArgsProduct({{1, 16, 256}, {100'000}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Nearest, fp16, torch::kFloat16)
    ->ArgsProduct({{1, 16, 256}, {100'000}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void BM_NearestInMappedFile(benchmark::State& state) {
  const auto file = std::filesystem::temp_directory_path() / "cavmae_nearest_benchmark.safetensors";
  write_safetensors(file, {{"video", vectors(state.range(1), torch::kFloat32)}});
  const torch::Tensor matrix = map_embeddings(file, "video");
  std::filesystem::remove(file);
  const torch::Tensor queries = vectors(state.range(0), torch::kFloat32);
  for (auto _ : state) benchmark::DoNotOptimize(nearest(queries, matrix, 10).indices.data_ptr());
  count_work(state, queries, matrix);
}
BENCHMARK(BM_NearestInMappedFile)->Args({1, 100'000})->UseRealTime()->Unit(benchmark::kMillisecond);

void BM_ReadMatrix(benchmark::State& state) {
  const torch::Tensor matrix = vectors(state.range(0), torch::kFloat32);
  for (auto _ : state) benchmark::DoNotOptimize(matrix.sum().data_ptr());
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * static_cast<int64_t>(matrix.nbytes()));
}
BENCHMARK(BM_ReadMatrix)->Arg(100'000)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace cavmae

BENCHMARK_MAIN();
