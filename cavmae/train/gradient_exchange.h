// The gradients of one rank's parameters summed over the ranks, bucket by bucket. One owner.
#pragma once

#include <memory>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/dist/world.h"
#include "cavmae/nn/gradient_bucket.h"

namespace cavmae {

class GradientExchange {
 public:
  // Of those parameters that require a gradient; they stay where they are. `world` outlives this. Alone it
  // does nothing.
  GradientExchange(const std::vector<torch::Tensor>& parameters, World& world);

  // Before the first backward pass of a step: gradients begin with zeros in the buckets.
  void prepare();
  // 1 for each parameter that a backward pass has given a gradient since prepare().
  std::vector<double> written() const;
  // Puts the sum of all ranks in the place of each gradient that somebody's backward pass has written
  // (`by_ranks`: the sum of written()); the others are left undefined, as one rank alone leaves them.
  void sum(const std::vector<double>& by_ranks);

 private:
  struct Bucket {
    std::vector<torch::Tensor> parameters;
    std::unique_ptr<GradientBucket> views;  // null where the parameters are not on the CPU: copied then
  };
  void sum_copies(const Bucket& bucket);

  World& world_;
  std::vector<Bucket> buckets_;  // in the order of a backward pass, the last parameters first
};

}  // namespace cavmae
