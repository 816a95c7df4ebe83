// Where tests of the network compute: the CPU, or what CAVMAE_TEST_DEVICE names ("cuda").
#pragma once

#include <cstdlib>

#include "cavmae/machine/device.h"

namespace cavmae::testing_support {

inline torch::Device test_device() {
  const char* name = std::getenv("CAVMAE_TEST_DEVICE");
  return resolve_device(name == nullptr ? "cpu" : name);
}

}  // namespace cavmae::testing_support
