// Which version of every family of kernels this process takes. A free function.
#pragma once

#include <vector>

#include "cavmae/isa/kernel_table.h"

namespace cavmae::kernels {

std::vector<KernelInUse> kernels_in_use();

}  // namespace cavmae::kernels
