#include "cavmae/train/gradient_exchange.h"

#include <algorithm>

namespace cavmae {
namespace {

constexpr int64_t kBucketValues = 25 * 1024 * 1024 / 4;

}  // namespace

GradientExchange::GradientExchange(const std::vector<torch::Tensor>& parameters, World& world)
    : world_(world) {
  if (world.size() == 1) return;
  int64_t values = kBucketValues;
  for (auto parameter = parameters.rbegin(); parameter != parameters.rend(); ++parameter) {
    if (!parameter->requires_grad()) continue;
    if (values >= kBucketValues) {
      buckets_.emplace_back();
      values = 0;
    }
    buckets_.back().parameters.push_back(*parameter);
    values += parameter->numel();
  }
  for (Bucket& bucket : buckets_)
    if (bucket.parameters.front().is_cpu())
      bucket.views = std::make_unique<GradientBucket>(bucket.parameters);
}

void GradientExchange::prepare() {
  for (Bucket& bucket : buckets_)
    if (bucket.views) bucket.views->prepare();
}

std::vector<double> GradientExchange::written() const {
  std::vector<double> out;
  for (const Bucket& bucket : buckets_) {
    if (bucket.views) {
      for (const bool written : bucket.views->written()) out.push_back(written ? 1.0 : 0.0);
    } else {
      for (const torch::Tensor& parameter : bucket.parameters)
        out.push_back(parameter.grad().defined() ? 1.0 : 0.0);
    }
  }
  return out;
}

void GradientExchange::sum_copies(const Bucket& bucket) {
  std::vector<torch::Tensor> flat;
  for (const torch::Tensor& parameter : bucket.parameters)
    flat.push_back(parameter.grad().defined() ? parameter.grad().reshape({-1})
                                              : at::zeros({parameter.numel()}, parameter.options()));
  const torch::Tensor sum = at::cat(flat);
  world_.all_reduce(sum);
  int64_t first = 0;
  for (const torch::Tensor& parameter : bucket.parameters) {
    parameter.mutable_grad() = sum.narrow(0, first, parameter.numel()).view(parameter.sizes());
    first += parameter.numel();
  }
}

void GradientExchange::sum(const std::vector<double>& by_ranks) {
  const torch::NoGradGuard no_grad;
  size_t next = 0;
  for (const Bucket& bucket : buckets_) {
    if (bucket.views)
      world_.all_reduce(bucket.views->flat());
    else
      sum_copies(bucket);
    for (const torch::Tensor& parameter : bucket.parameters)
      if (by_ranks[next++] == 0.0) parameter.mutable_grad() = torch::Tensor();
  }
}

}  // namespace cavmae
