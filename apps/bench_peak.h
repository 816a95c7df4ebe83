// What 'cavmae bench' compares its speed with.
#pragma once

#include <string>

#include "cavmae/machine/device.h"
#include "cavmae/nn/precision.h"

namespace cavmae::apps {

struct PeakInUse {
  double gflops = 0.0;
  std::string name;
};

// Of the processor's instructions, all threads, or of a GPU's library.
PeakInUse measure_peak_of(torch::Device device, Precision precision);

}  // namespace cavmae::apps
