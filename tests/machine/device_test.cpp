#include "cavmae/machine/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string error_of(const std::string& name, const DeviceSupport& support) {
  try {
    resolve_device(name, support);
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "";
}

constexpr DeviceSupport kTwoGpus{.cuda_build = true, .num_gpus = 2};

TEST(Device, NamesAreCpuAndNumberedGpus) {
  EXPECT_EQ(parse_device("cpu"), torch::Device(torch::kCPU));
  EXPECT_EQ(parse_device("cuda"), torch::Device(torch::kCUDA, 0));
  EXPECT_EQ(parse_device("cuda:3"), torch::Device(torch::kCUDA, 3));
}

TEST(Device, OtherNamesAreRefusedWithTheAllowedOnes) {
  for (const char* name :
       {"", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:1x", "cuda:128", "cuda:99999999999", "cpu:0"}) {
    EXPECT_THAT(error_of(name, kTwoGpus),
                AllOf(HasSubstr(concat("'", name, "'")), HasSubstr("cpu, cuda and cuda:N")))
        << name;
  }
}

TEST(Device, AMissingGpuIsToldWithItsCure) {
  EXPECT_THAT(error_of("cuda", {.cuda_build = false, .num_gpus = 0}),
              AllOf(HasSubstr("without CUDA"), HasSubstr("-DTorch_DIR"), HasSubstr("--device cpu")));
  EXPECT_THAT(error_of("cuda", {.cuda_build = true, .num_gpus = 0}),
              AllOf(HasSubstr("no GPU"), HasSubstr("nvidia-smi")));
  EXPECT_THAT(error_of("cuda:2", kTwoGpus), AllOf(HasSubstr("2 GPUs"), HasSubstr("cuda:1")));
  EXPECT_THAT(error_of("cuda:1", {.cuda_build = true, .num_gpus = 1}), HasSubstr("is 1 GPU, cuda:0"));
}

TEST(Device, WhatIsThereCanBeUsed) {
  EXPECT_EQ(resolve_device("cuda:1", kTwoGpus), torch::Device(torch::kCUDA, 1));
  EXPECT_EQ(resolve_device("cpu", {}), torch::Device(torch::kCPU));
  EXPECT_EQ(resolve_device("cpu"), torch::Device(torch::kCPU));
}

TEST(Device, CopyingToWhereATensorLiesIsTheTensor) {
  const torch::Tensor tensor = torch::arange(3);
  EXPECT_TRUE(to_device(tensor, torch::kCPU).is_same(tensor));
  EXPECT_FALSE(to_device({}, torch::kCPU).defined());
  SideStream stream(torch::kCPU);
  stream.mark_used(tensor);
  stream.finish();
  synchronize(torch::kCPU);
}

}  // namespace
}  // namespace cavmae
