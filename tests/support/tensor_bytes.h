// How much memory tensors take. Test code only.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cavmae/core/torch.h"

namespace cavmae::testing_support {

// The bytes that tensors of a thread take, where LibTorch reports them to it:
//   const auto bytes = std::make_shared<TensorBytes>();
//   const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, bytes);
class TensorBytes : public c10::MemoryReportingInfoBase {
 public:
  int64_t most() const { return most_; }
  void reportMemoryUsage(void* /*at*/, int64_t bytes, int64_t /*allocated*/, int64_t /*reserved*/,
                         c10::Device /*device*/) override {
    most_ = std::max(most_, now_ += bytes);
  }
  bool memoryProfilingEnabled() const override { return true; }

 private:
  int64_t now_ = 0, most_ = 0;
};

}  // namespace cavmae::testing_support
