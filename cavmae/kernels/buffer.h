// Memory for packed factors and scratch: aligned to a cache line, not initialized.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace cavmae::kernels {

class Buffer {
 public:
  explicit Buffer(int64_t bytes)
      : memory_(std::aligned_alloc(kAlignment, (static_cast<size_t>(bytes) / kAlignment + 1) * kAlignment)) {
    if (memory_ == nullptr) throw std::bad_alloc();
  }

  void* data() const { return memory_.get(); }
  template <class T>
  T* as() const {
    return static_cast<T*>(memory_.get());
  }

 private:
  static constexpr size_t kAlignment = 64;
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<void, Free> memory_;
};

}  // namespace cavmae::kernels
