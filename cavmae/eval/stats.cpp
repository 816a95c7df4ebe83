#include "cavmae/eval/stats.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

// Of cells: how many, their mean, and the sum of the squares of their deviations from it.
struct Moments {
  double count = 0.0, mean = 0.0, sum_of_squares = 0.0;

  // Chan et al. 1979: two parts joined, without cancellation.
  void add(const Moments& part) {
    if (part.count == 0) return;
    const double shift = part.mean - mean, total = count + part.count;
    sum_of_squares += part.sum_of_squares + shift * shift * count * part.count / total;
    mean += shift * part.count / total;
    count = total;
  }
};

Moments moments_of(const torch::Tensor& cells) {
  const torch::Tensor values = cells.to(torch::kFloat64);
  const double mean = values.mean().item<double>();
  return {.count = static_cast<double>(values.numel()),
          .mean = mean,
          .sum_of_squares = (values - mean).square_().sum().item<double>()};
}

// Those of all ranks joined.
Moments gather_moments(World& world, const Moments& own) {
  if (world.size() == 1) return own;
  Moments all;
  for (const torch::Tensor& part :
       world.all_gather(torch::tensor({own.count, own.mean, own.sum_of_squares}, torch::kFloat64)))
    all.add({part[0].item<double>(), part[1].item<double>(), part[2].item<double>()});
  return all;
}

}  // namespace

FbankStats compute_fbank_stats(const ClipList& clips, const InputSpec& spec, const PassOptions& options,
                               std::shared_ptr<Log> log) {
  InputSpec plain = spec;
  plain.fbank_mean = 0.0;
  plain.fbank_std = 1.0;
  PassOptions pass = options;
  pass.need = Need::audio;
  pass.title = "measuring";
  pass.if_none_read = IfNoneRead::fail;
  Moments moments;
  int64_t num_clips = 0;
  PassResult result = for_each_batch(
      clips, plain, pass,
      [&](const Batch& batch) {
        moments.add(moments_of(batch.audio));
        num_clips += batch.audio.size(0);
      },
      std::move(log));
  check_complete(result);
  moments = gather_moments(pass.world, moments);
  const torch::Tensor all_clips = torch::tensor({num_clips}, torch::kInt64);
  pass.world.all_reduce(all_clips);
  return {.mean = moments.mean,
          .std = std::sqrt(moments.sum_of_squares / std::max(1.0, moments.count - 1.0)),
          .num_clips = all_clips.item<int64_t>(),
          .bad_clips = std::move(result.failed)};
}

}  // namespace cavmae
