// Copies of one weight as matmul backends have packed them, made again when the weight has changed. One a
// parameter. Safe from several threads.
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

  // A program that embeds one clip uses each weight once: copies that stay would cost it a third of a
  // gigabyte of fresh memory, where one that goes leaves its memory, and its place in the cache, to the next
  // weight's.
  enum class KeptFrom { first_use, second_use };

  explicit PackedWeight(KeptFrom kept_from = KeptFrom::second_use) : kept_from_(kept_from) {}

  // The copy under `key` if fits(copy), else what pack() makes.
  template <class Fits, class Pack>
  std::shared_ptr<const Copy> find_or_pack(const Key& key, const Fits& fits, const Pack& pack) {
    const std::lock_guard lock(mutex_);
    const auto [entry, is_first_use] = copies_.try_emplace(key);
    std::shared_ptr<const Copy>& copy = entry->second;
    if (copy != nullptr && fits(*copy)) return copy;
    copy = nullptr;  // before another takes memory
    std::shared_ptr<const Copy> made = pack();
    if (!is_first_use || kept_from_ == KeptFrom::first_use) copy = made;
    return made;
  }

  // Lets go of all copies.
  void release() {
    const std::lock_guard lock(mutex_);
    copies_.clear();
  }

 private:
  const KeptFrom kept_from_;
  std::mutex mutex_;
  std::map<Key, std::shared_ptr<const Copy>> copies_;  // null: used once
};

}  // namespace cavmae::kernels
