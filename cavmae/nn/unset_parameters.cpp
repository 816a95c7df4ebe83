#include "cavmae/nn/unset_parameters.h"

namespace cavmae {
namespace {

thread_local int t_unset = 0;

}  // namespace

UnsetParameters::UnsetParameters() {
  ++t_unset;
}

UnsetParameters::~UnsetParameters() {
  --t_unset;
}

torch::Tensor new_weight(torch::IntArrayRef sizes) {
  return t_unset > 0 ? torch::empty(sizes) : torch::zeros(sizes);
}

}  // namespace cavmae
