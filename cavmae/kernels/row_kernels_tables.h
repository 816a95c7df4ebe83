// One table of row kernels an instruction set. Private to the row kernels.
#pragma once

#include "cavmae/kernels/row_kernels.h"

namespace cavmae::kernels {

const RowKernels& row_kernels_baseline();
const RowKernels& row_kernels_avx2();
const RowKernels& row_kernels_avx512();
const RowKernels& row_kernels_avx512_bf16();

}  // namespace cavmae::kernels
