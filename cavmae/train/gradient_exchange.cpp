#include "cavmae/train/gradient_exchange.h"

#include "cavmae/nn/gradient_uses.h"

namespace cavmae {
GradientExchange::GradientExchange(const std::vector<torch::Tensor>& parameters,
                                   const ExchangeOptions& options, World& world)
    : options_(options), world_(world) {
  if (world.size() == 1) return;
  const int64_t full = options.bucket_bytes / static_cast<int64_t>(sizeof(float));
  int64_t values = full;
  for (auto parameter = parameters.rbegin(); parameter != parameters.rend(); ++parameter) {
    if (!parameter->requires_grad()) continue;
    if (values >= full) {
      buckets_.emplace_back();
      values = 0;
    }
    parameters_.push_back(*parameter);
    bucket_of_.push_back(buckets_.size() - 1);
    buckets_.back().parameters.push_back(*parameter);
    values += parameter->numel();
  }
  for (Bucket& bucket : buckets_)
    if (bucket.parameters.front().is_cpu())
      bucket.views = std::make_unique<GradientBucket>(bucket.parameters);
}

void GradientExchange::prepare() {
  begun_ = 0;
  for (Bucket& bucket : buckets_)
    if (bucket.views) bucket.views->prepare();
}

void GradientExchange::overlap(const torch::Tensor& loss) {
  if (!options_.overlap || buckets_.empty()) return;
  for (Bucket& bucket : buckets_) bucket.missing = 0;
  const std::vector<int64_t> uses =
      watch_uses(loss, parameters_, [this](size_t parameter) { used(bucket_of_[parameter]); });
  for (size_t i = 0; i < uses.size(); ++i) buckets_[bucket_of_[i]].missing += uses[i];
  begin_complete();
}

void GradientExchange::used(size_t bucket) {
  if (--buckets_[bucket].missing == 0) begin_complete();
}

// Copies of a device's gradients are made at the end: its thread is not the one that exchanges.
void GradientExchange::begin_complete() {
  for (; begun_ < buckets_.size(); ++begun_) {
    Bucket& bucket = buckets_[begun_];
    if (bucket.missing > 0 || !bucket.views) return;
    bucket.reduction = world_.begin_all_reduce(bucket.views->flat());
  }
}

void GradientExchange::begin_rest() {
  if (!options_.overlap) return;
  for (Bucket& bucket : buckets_) bucket.missing = 0;
  begin_complete();
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
  for (size_t i = 0; i < buckets_.size(); ++i) {
    Bucket& bucket = buckets_[i];
    if (i < begun_)
      world_.finish(std::move(bucket.reduction));
    else if (bucket.views)
      world_.all_reduce(bucket.views->flat());
    else
      sum_copies(bucket);
    for (const torch::Tensor& parameter : bucket.parameters)
      if (by_ranks[next++] == 0.0) parameter.mutable_grad() = torch::Tensor();
  }
}

}  // namespace cavmae
