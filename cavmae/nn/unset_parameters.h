// Layers whose values a file is about to give: writing zeros into them first takes as long as reading it.
#pragma once

#include "cavmae/core/torch.h"

namespace cavmae {

// While one lives, the weights of layers that this thread makes hold whatever the memory held.
class UnsetParameters {
 public:
  UnsetParameters();
  ~UnsetParameters();
  UnsetParameters(const UnsetParameters&) = delete;
  UnsetParameters& operator=(const UnsetParameters&) = delete;
};

// Of a new weight: zeros, or no values while there are UnsetParameters.
torch::Tensor new_weight(torch::IntArrayRef sizes);

}  // namespace cavmae
