// Which version of every kernel this process takes. Free functions.
#pragma once

#include <string>
#include <vector>

namespace cavmae::kernels {

struct KernelInUse {
  std::string job;   // "products in fp32", ...
  std::string name;  // of the kernel
};
std::vector<KernelInUse> kernels_in_use();

}  // namespace cavmae::kernels
