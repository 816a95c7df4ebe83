// Copies of one weight as matmul backends have packed them: made at first use, and again when the weight has
// changed. One a parameter. Safe from several threads.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

namespace cavmae::kernels {

class PackedWeight {
 public:
  enum class Factor { of_forward, of_dgrad };
  struct Key {
    const char* backend;  // its name, by address
    Factor factor;
    int64_t first_row, rows;

    auto operator<=>(const Key&) const = default;
  };
  // Backends derive their own from it.
  struct Copy {
    const void* source = nullptr;  // the weight's values
    int64_t version = -1;          // of them

    virtual ~Copy() = default;
  };

  // The copy under `key` if fits(copy), else what pack() makes, which is kept.
  template <class Fits, class Pack>
  std::shared_ptr<const Copy> find_or_pack(const Key& key, const Fits& fits, const Pack& pack) {
    const std::lock_guard lock(mutex_);
    auto& copy = copies_[key];
    if (copy == nullptr || !fits(*copy)) copy = pack();
    return copy;
  }

  // Lets go of all copies.
  void release() {
    const std::lock_guard lock(mutex_);
    copies_.clear();
  }

 private:
  std::mutex mutex_;
  std::map<Key, std::shared_ptr<const Copy>> copies_;
};

}  // namespace cavmae::kernels
