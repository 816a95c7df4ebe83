// at::parallel_for() and the number of LibTorch's threads.
#pragma once

#include <ATen/Parallel.h>
