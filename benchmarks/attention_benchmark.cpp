// The attention kernel beside its plain twin, on the sizes of the full-size model. Prints one JSON line a
// size, type and version: GFLOP/s of the useful products, two forward and five backward.
//
//   attention_benchmark [--batch 8] [--rounds 5] [--threads N] [--kernel all | NAME]
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "cavmae/core/parallel.h"
#include "cavmae/kernels/flash_attention.h"
#include "cavmae/machine/machine.h"
#include "cavmae/nn/attention.h"

#include "benchmarks/benchmark_main.h"

namespace cavmae {
namespace {

using kernels::AttentionCall;
using kernels::AttentionKernel;
using kernels::Element;

struct Settings {
  int64_t batch = 8;
  int64_t rounds = 5;
  int64_t threads = 0;
  std::string kernel = "all";

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("batch", o.batch, "clips in a batch");
    v("rounds", o.rounds, "measurements, of which the median counts");
    v("threads", o.threads, "threads (0: one a core)");
    v("kernel", o.kernel, "'all' that are no tests of others, 'plain' or one version of the kernel");
  }
};

struct Place {
  std::string name;
  int64_t queries, keys, heads, head_width;
};

const std::vector<Place> kPlaces = {
    {"video encoder, a quarter kept", 49, 49, 12, 64},
    {"audio encoder, a quarter kept", 128, 128, 12, 64},
    {"joint encoder, a quarter kept", 177, 177, 12, 64},
    {"video encoder", 196, 196, 12, 64},
    {"audio encoder", 512, 512, 12, 64},
    {"decoder", 708, 708, 16, 32},
    {"last decoder layer, masked patches", 531, 708, 16, 32},
};

// Seconds of a call: the median of `rounds` means, each over at least 0.1 s. `before` is not timed.
double seconds_of(int64_t rounds, const std::function<void()>& before, const std::function<void()>& work) {
  constexpr double kMinSeconds = 0.1;
  std::vector<double> means;
  for (int64_t round = -1; round < rounds; ++round) {
    double seconds = 0.0;
    int64_t calls = 0;
    while (seconds < kMinSeconds) {
      before();
      const auto begin = std::chrono::steady_clock::now();
      work();
      seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      ++calls;
    }
    if (round >= 0) means.push_back(seconds / static_cast<double>(calls));  // round -1 warms up
  }
  std::ranges::sort(means);
  return means[means.size() / 2];
}

struct Times {
  double forward = 0.0, backward = 0.0;
};

struct Operands {
  torch::Tensor q, kv, d_out;  // [B, M, H * d], [B, L, 2 * H * d], [B, M, H * d]
};

Operands make_operands(const AttentionCall& call) {
  const int64_t width = call.heads * call.head_width;
  const auto type = call.element == Element::bf16 ? torch::kBFloat16 : torch::kFloat32;
  const auto normal = [&](int64_t rows, int64_t columns) {
    return torch::randn({call.clips, rows, columns}).to(type);
  };
  return {normal(call.queries, width), normal(call.keys, 2 * width), normal(call.queries, width)};
}

Times time_kernel(const Settings& settings, const AttentionCall& call, const AttentionKernel& kernel) {
  const auto [q, kv, d_out] = make_operands(call);
  const auto view = [&](const torch::Tensor& x, int64_t part = 0) {
    const int64_t bytes = part * call.heads * call.head_width * x.element_size();
    return kernels::HeadsView{static_cast<char*>(x.data_ptr()) + bytes, x.stride(0), x.stride(1)};
  };
  const auto out = torch::empty_like(q), d_q = torch::empty_like(q), d_kv = torch::empty_like(kv);
  const auto log_sum_exp = torch::empty({call.clips, call.heads, call.queries});
  const kernels::AttentionForward forward{.q = view(q),
                                          .k = view(kv),
                                          .v = view(kv, 1),
                                          .out = view(out),
                                          .log_sum_exp = log_sum_exp.data_ptr<float>()};
  const kernels::AttentionBackward backward{.q = view(q),
                                            .k = view(kv),
                                            .v = view(kv, 1),
                                            .out = view(out),
                                            .d_out = view(d_out),
                                            .log_sum_exp = log_sum_exp.data_ptr<float>(),
                                            .d_q = view(d_q),
                                            .d_k = view(d_kv),
                                            .d_v = view(d_kv, 1)};
  const auto nothing = [] {};
  return {
      seconds_of(settings.rounds, nothing, [&] { kernels::flash_attention_forward(call, forward, kernel); }),
      seconds_of(settings.rounds, nothing,
                 [&] { kernels::flash_attention_backward(call, backward, kernel); })};
}

Times time_plain_twin(const Settings& settings, const AttentionCall& call) {
  auto [q, kv, d_out] = make_operands(call);
  q.requires_grad_();
  kv.requires_grad_();
  torch::Tensor out;
  const auto attend = [&, &q = q, &kv = kv] { out = attention_plain(q, kv, call.heads); };
  return {seconds_of(
              settings.rounds, [] {}, attend),
          seconds_of(settings.rounds, attend, [&, &d_out = d_out] { out.backward(d_out); })};
}

void print(const Place& place, const AttentionCall& call, const std::string& version, const Times& times) {
  const double product = 2.0 * static_cast<double>(call.clips * call.heads * call.head_width) *
                         static_cast<double>(call.queries * call.keys);
  const double forward_flop = 2 * product, backward_flop = 5 * product;
  const Json line = {{"place", place.name},
                     {"clips", call.clips},
                     {"queries", call.queries},
                     {"keys", call.keys},
                     {"heads", call.heads},
                     {"head_width", call.head_width},
                     {"element", call.element == Element::bf16 ? "bf16" : "f32"},
                     {"kernel", version},
                     {"threads", at::get_num_threads()},
                     {"forward_gflop", forward_flop * 1e-9},
                     {"backward_gflop", backward_flop * 1e-9},
                     {"forward_gflop_per_second", forward_flop / times.forward * 1e-9},
                     {"backward_gflop_per_second", backward_flop / times.backward * 1e-9}};
  std::cout << line.dump() << std::endl;
}

int run(int argc, char** argv) {
  const Settings settings = parse_flags<Settings>(argc, argv);
  tune_process({.num_threads = settings.threads});
  for (const Place& place : kPlaces)
    for (const Element element : {Element::f32, Element::bf16}) {
      const AttentionCall call{.clips = settings.batch,
                               .queries = place.queries,
                               .keys = place.keys,
                               .heads = place.heads,
                               .head_width = place.head_width,
                               .element = element};
      const auto wanted = [&](const std::string& version) {
        return settings.kernel == "all" || settings.kernel == version;
      };
      for (const AttentionKernel* kernel : kernels::usable_attention_kernels()) {
        const std::string version = kernel->name;
        const bool is_test = kernel->use == AttentionKernel::Use::tests;
        if (wanted(version) && !(is_test && settings.kernel == "all"))
          print(place, call, version, time_kernel(settings, call, *kernel));
      }
      if (wanted("plain")) print(place, call, "plain", time_plain_twin(settings, call));
    }
  return 0;
}

}  // namespace
}  // namespace cavmae

int main(int argc, char** argv) {
  return cavmae::benchmark_main(&cavmae::run, argc, argv);
}
