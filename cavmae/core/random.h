// Random numbers that depend on named keys alone, so that worker threads, ranks and resuming never change
// them. A Random is cheap to make and belongs to one thread.
#pragma once

#include <cstdint>
#include <initializer_list>

namespace cavmae {

// One 64-bit seed from several keys; the order counts (splitmix64 over them).
uint64_t mix_seed(std::initializer_list<uint64_t> keys);

// xoshiro256** (Blackman and Vigna, 2018), seeded by splitmix64. The same sequence on every platform.
class Random {
 public:
  using result_type = uint64_t;
  explicit Random(uint64_t seed);
  Random(std::initializer_list<uint64_t> keys) : Random(mix_seed(keys)) {}

  uint64_t operator()();
  static constexpr uint64_t min() { return 0; }
  static constexpr uint64_t max() { return ~uint64_t{0}; }

  double uniform();                            // [0, 1)
  double uniform(double low, double high);     // [low, high)
  int64_t integer(int64_t low, int64_t high);  // [low, high], both included, without bias
  double normal();                             // mean 0, standard deviation 1

 private:
  uint64_t state_[4];
};

}  // namespace cavmae
