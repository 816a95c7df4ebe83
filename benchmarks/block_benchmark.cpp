// A layer, forward and backward, on a large batch at once and in groups of clips (Note [Groups of clips]), by
// turns. Prints one JSON line a way: seconds and GFLOP/s, medians over the rounds. The sizes are those of the
// full-size decoder unless others are given; a narrow one is configs/tiny.json's:
//
//   block_benchmark [--batch 32] [--rounds 5] [--threads N] [--precision bf16]
//   block_benchmark --batch 64 --tokens 136 --width 96 --heads 4 --precision fp32 --rounds 50
#include <algorithm>
#include <chrono>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/core/parallel.h"
#include "cavmae/machine/machine.h"
#include "cavmae/nn/transformer_block.h"

#include "benchmarks/benchmark_main.h"

namespace cavmae {
namespace {

struct Settings {
  int64_t batch = 32;
  int64_t tokens = 708;
  int64_t width = 512;
  int64_t heads = 16;
  int64_t rounds = 5;
  int64_t threads = 0;
  Precision precision = Precision::bf16;

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("batch", o.batch, "clips in a batch");
    v("tokens", o.tokens, "of a clip");
    v("width", o.width, "of the layer");
    v("heads", o.heads, "of its attention");
    v("rounds", o.rounds, "measurements of each way, of which the median counts");
    v("threads", o.threads, "threads (0: one a core)");
    v("precision", o.precision, "of the factors");
  }
};

constexpr int64_t kMlpRatio = 4;

// Products of a clip, forward and backward: the linear layers' and attention's.
double flops_of_clip(const Settings& settings) {
  const auto tokens = static_cast<double>(settings.tokens), width = static_cast<double>(settings.width);
  const double linears = 2.0 * tokens * width * width * (4 + 2 * kMlpRatio);
  const double attention = 2.0 * 2.0 * tokens * tokens * width;
  return 3.0 * linears + 3.5 * attention;
}

double seconds_of(Block& block, torch::Tensor& x, const Compute& how) {
  x.mutable_grad() = torch::Tensor();
  const auto begin = std::chrono::steady_clock::now();
  const auto y = block(x, NormSet::joint, how);
  y.backward(y.detach());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

int run(int argc, char** argv) {
  const Settings settings = parse_flags<Settings>(argc, argv);
  tune_process({.num_threads = settings.threads});
  torch::manual_seed(1);
  Block block(BlockOptions{.width = settings.width, .heads = settings.heads, .mlp_ratio = kMlpRatio});
  torch::Tensor x = torch::randn({settings.batch, settings.tokens, settings.width}).requires_grad_();
  struct Way {
    std::string name;
    std::optional<int64_t> group_values;
    std::vector<double> seconds = {};
  };
  const int64_t clip_values = settings.tokens * settings.width;
  std::vector<Way> ways = {
      {"at once", 0}, {"groups of 8", 8 * clip_values}, {"groups of 4", 4 * clip_values}, {"chosen", {}}};
  for (int64_t round = 0; round <= settings.rounds; ++round)  // the first warms up
    for (Way& way : ways) {
      Compute how(settings.precision);
      how.group_values = way.group_values;
      const double seconds = seconds_of(block, x, how);
      if (round > 0) way.seconds.push_back(seconds);
    }
  for (Way& way : ways) {
    std::ranges::sort(way.seconds);
    const double median = way.seconds[way.seconds.size() / 2];
    std::cout << "{\"clips\":" << settings.batch << ",\"way\":\"" << way.name
              << "\",\"threads\":" << at::get_num_threads() << ",\"seconds\":" << median << ",\"gflops\":"
              << flops_of_clip(settings) * static_cast<double>(settings.batch) / median / 1e9 << "}\n";
  }
  return 0;
}

}  // namespace
}  // namespace cavmae

int main(int argc, char** argv) {
  return cavmae::benchmark_main(&cavmae::run, argc, argv);
}
