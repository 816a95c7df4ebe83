// The row kernels for any processor: four lanes.
#include <cmath>
#include <cstring>
#include <utility>

#include "cavmae/kernels/row_kernels.h"
#include "cavmae/kernels/versions.h"

#define CAVMAE_LANES 4
#define CAVMAE_ROW_KERNELS row_kernels_baseline
#include "cavmae/kernels/row_kernels_simd.h"
