// The gradients of one rank's parameters summed over the ranks, bucket by bucket. One owner.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/dist/world.h"
#include "cavmae/nn/gradient_bucket.h"

namespace cavmae {

struct ExchangeOptions {
  bool overlap = true;                      // sums a bucket while the backward pass goes on; the same bits
  int64_t bucket_bytes = 25 * 1024 * 1024;  // at least, of each bucket but the last
};

// Note [Overlap]: a bucket is complete when each of its parameters has its gradient of the step's last
// backward pass, see Note [Uses of a parameter]; then its reduction begins, after those of the buckets before
// it, so that every rank begins them in one order whatever order its gradients come in. What no backward pass
// completes begins in begin_rest(). Buckets are the same with and without overlap, and so are the sums.
class GradientExchange {
 public:
  // Of those parameters that require a gradient; they stay where they are. `world` outlives this. Alone it
  // does nothing.
  GradientExchange(const std::vector<torch::Tensor>& parameters, const ExchangeOptions& options,
                   World& world);

  // Before the first backward pass of a step: gradients begin with zeros in the buckets.
  void prepare();
  // Before the step's last backward pass, that of `loss`: buckets begin to be summed as it completes them.
  void overlap(const torch::Tensor& loss);
  // Begins what has not begun. Every rank calls it, also one whose part of the last batch is empty.
  void begin_rest();
  // 1 for each parameter that a backward pass has given a gradient since prepare().
  std::vector<double> written() const;
  // Puts the sum of all ranks in the place of each gradient that somebody's backward pass has written
  // (`by_ranks`: the sum of written()); the others are left undefined, as one rank alone leaves them.
  void sum(const std::vector<double>& by_ranks);

 private:
  struct Bucket {
    std::vector<torch::Tensor> parameters;
    std::unique_ptr<GradientBucket> views;  // null where the parameters are not on the CPU: copied then
    int64_t missing = 0;                    // uses of its parameters that are still to be differentiated
    std::unique_ptr<PendingReduction> reduction = {};
  };
  void used(size_t bucket);
  void begin_complete();
  void sum_copies(const Bucket& bucket);

  const ExchangeOptions options_;
  World& world_;
  std::vector<Bucket> buckets_;            // in the order of a backward pass, the last parameters first
  std::vector<torch::Tensor> parameters_;  // of all buckets
  std::vector<size_t> bucket_of_;          // of each of them
  size_t begun_ = 0;                       // so many buckets, from the first on
};

}  // namespace cavmae
