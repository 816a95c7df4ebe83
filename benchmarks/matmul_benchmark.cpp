// The matmuls of linear layers on the sizes of the full-size model. Prints one JSON line a size, type and
// backend: GFLOP/s of y = x W^T + b, of dx = g W and of dW = g^T x.
//
//   matmul_benchmark [--batch 8] [--rounds 5] [--threads N] [--backend NAME]
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "cavmae/core/parallel.h"
#include "cavmae/machine/machine.h"
#include "cavmae/nn/linear_passes.h"

#include "benchmarks/benchmark_main.h"

namespace cavmae {
namespace {

using kernels::Element;
using kernels::MatmulBackend;

struct Settings {
  int64_t batch = 8;
  int64_t rounds = 5;
  int64_t threads = 0;
  std::string backend = "all";

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("batch", o.batch, "clips in a batch");
    v("rounds", o.rounds, "measurements, of which the median counts");
    v("threads", o.threads, "threads (0: one a core)");
    v("backend", o.backend, "all but those for tests, or a backend by its name");
  }
};

struct Place {
  std::string name;
  int64_t rows, inputs, outputs;  // rows of a clip
};

const std::vector<Place> kPlaces = {
    {"audio encoder, qkv", 128, 768, 2304}, {"audio encoder, fc1", 128, 768, 3072},
    {"audio encoder, fc2", 128, 3072, 768}, {"video encoder, fc1", 49, 768, 3072},
    {"video encoder, fc2", 49, 3072, 768},  {"decoder, qkv", 708, 512, 1536},
    {"decoder, projection", 708, 512, 512}, {"decoder, fc1", 708, 512, 2048},
    {"decoder, fc2", 708, 2048, 512},
};

// Operands of so many calls take turns, so that no call finds its own in the cache.
constexpr int64_t kSets = 4;

double seconds_of(int64_t rounds, const std::function<void(int64_t set)>& work) {
  constexpr double kMinSeconds = 0.1;
  std::vector<double> means;
  for (int64_t round = -1; round < rounds; ++round) {  // round -1 warms up
    int64_t calls = 0;
    const auto begin = std::chrono::steady_clock::now();
    const auto passed = [&] {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    while (passed() < kMinSeconds) work(calls++ % kSets);
    if (round >= 0) means.push_back(passed() / static_cast<double>(calls));
  }
  std::ranges::sort(means);
  return means[means.size() / 2];
}

struct Operands {
  torch::Tensor x, g, y, dx, weight, bias, d_weight;
  std::shared_ptr<kernels::PackedWeight> packed = std::make_shared<kernels::PackedWeight>();

  Operands(const Place& place, int64_t rows, torch::ScalarType type)
      : x(torch::randn({rows, place.inputs}).to(type)),
        g(torch::randn({rows, place.outputs}).to(type)),
        y(torch::zeros_like(g)),
        dx(torch::zeros_like(x)),
        weight(torch::randn({place.outputs, place.inputs})),
        bias(torch::randn({place.outputs})),
        d_weight(torch::zeros_like(weight)) {}
};

Json measure(const Settings& settings, const Place& place, Element element, const MatmulBackend& backend) {
  const int64_t rows = settings.batch * place.rows;
  std::vector<Operands> sets;
  for (int64_t i = 0; i < kSets; ++i) sets.emplace_back(place, rows, scalar_type(element));
  const auto of = [&](int64_t i) -> Operands& { return sets[static_cast<size_t>(i)]; };
  const double gflop = 2e-9 * static_cast<double>(rows * place.inputs * place.outputs);
  const auto rate = [&](const std::function<void(int64_t)>& work) {
    return gflop / seconds_of(settings.rounds, work);
  };
  Json line = {{"place", place.name},
               {"rows", rows},
               {"inputs", place.inputs},
               {"outputs", place.outputs},
               {"element", element == Element::bf16 ? "bf16" : "f32"},
               {"backend", backend.name},
               {"threads", at::get_num_threads()}};
  if (backend.forward != nullptr)
    line["forward_gflop_per_second"] = rate([&](int64_t i) {
      linear_forward({.x = of(i).x,
                      .weight = whole_weight(of(i).weight, of(i).packed),
                      .bias = of(i).bias,
                      .residual = {},
                      .y = of(i).y},
                     &backend);
    });
  if (backend.dgrad != nullptr)
    line["dgrad_gflop_per_second"] = rate([&](int64_t i) {
      linear_dgrad({.g = of(i).g, .weight = whole_weight(of(i).weight, of(i).packed), .dx = of(i).dx},
                   &backend);
    });
  if (backend.wgrad != nullptr)
    line["wgrad_gflop_per_second"] = rate(
        [&](int64_t i) { linear_wgrad({.g = of(i).g, .x = of(i).x, .d_weight = of(i).d_weight}, &backend); });
  return line;
}

int run(int argc, char** argv) {
  const Settings settings = parse_flags<Settings>(argc, argv);
  tune_process({.num_threads = settings.threads});
  const torch::NoGradGuard no_grad;
  for (const Place& place : kPlaces)
    for (const Element element : {Element::f32, Element::bf16})
      for (const MatmulBackend* backend : kernels::usable_matmul_backends(element))
        if (settings.backend == "all" ? backend->pays_with.has_value() : settings.backend == backend->name)
          std::cout << measure(settings, place, element, *backend).dump() << std::endl;
  return 0;
}

}  // namespace
}  // namespace cavmae

int main(int argc, char** argv) {
  return cavmae::benchmark_main(&cavmae::run, argc, argv);
}
