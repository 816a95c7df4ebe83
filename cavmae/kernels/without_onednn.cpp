// The products in a build without oneDNN: nobody asks for them.
#include "cavmae/core/error.h"
#include "cavmae/kernels/onednn_products.h"

namespace cavmae::kernels {
namespace {

constexpr const char* kNone = "this cavmae was built without oneDNN (CAVMAE_ONEDNN=OFF)";

}  // namespace

struct PackedWeight::Copies {};

PackedWeight::PackedWeight() = default;
PackedWeight::~PackedWeight() = default;

void PackedWeight::release() {}

bool has_onednn() {
  return false;
}

InstructionSet instructions_left_by_onednn() {
  return InstructionSet::avx512_bf16;
}

void onednn_forward(const ForwardProduct& /*product*/) {
  throw Error(kNone);
}

void onednn_input_gradient(const InputGradient& /*product*/) {
  throw Error(kNone);
}

void onednn_weight_gradient(const WeightGradient& /*product*/) {
  throw Error(kNone);
}

std::string try_onednn_bf16() {
  return kNone;
}

}  // namespace cavmae::kernels
