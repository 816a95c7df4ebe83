// The precision that a network computes in. Parameters are fp32 in both.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace cavmae {

// bf16: the products of linear layers take bfloat16 factors and sum in fp32; everything else is fp32.
enum class Precision { fp32, bf16 };
inline std::vector<std::pair<Precision, std::string>> option_names(Precision) {
  return {{Precision::fp32, "fp32"}, {Precision::bf16, "bf16"}};
}

}  // namespace cavmae
