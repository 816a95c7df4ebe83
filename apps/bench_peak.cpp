#include "apps/bench_peak.h"

#include "cavmae/core/options.h"
#include "cavmae/machine/device_peak.h"
#include "cavmae/machine/peak.h"

namespace cavmae::apps {
namespace {

PeakInUse peak_of_processor(Precision precision) {
  const MachinePeak peak = measure_peak();
  const std::string fp32 = "fp32, " + peak.fp32_instructions;
  if (precision == Precision::fp32) return {peak.fp32_gflops, fp32};
  const bool widened = peak.bf16_instructions() == peak.fp32_instructions;
  return {peak.bf16_gflops(),
          widened ? fp32 + "; this processor computes bf16 in fp32" : "bf16, " + peak.bf16_instructions()};
}

// Of a GPU: the rate of its library's matrix products.
PeakInUse peak_of_device(torch::Device device, Precision precision) {
  const auto type = precision == Precision::bf16 ? torch::kBFloat16 : torch::kFloat32;
  return {measure_matmul_gflops(device, type), enum_name(precision) + ", a product of 8192 x 8192 matrices"};
}

}  // namespace

PeakInUse measure_peak_of(torch::Device device, Precision precision) {
  return device.is_cpu() ? peak_of_processor(precision) : peak_of_device(device, precision);
}

}  // namespace cavmae::apps
