#include "cavmae/core/random.h"

#include <bit>
#include <cmath>
#include <numbers>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

uint64_t splitmix(uint64_t& state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

}  // namespace

uint64_t mix_seed(std::initializer_list<uint64_t> keys) {
  uint64_t state = 0x2545f4914f6cdd1dull;
  for (const uint64_t key : keys) {
    state ^= key;
    state = splitmix(state);
  }
  return state;
}

Random::Random(uint64_t seed) {
  for (uint64_t& word : state_) word = splitmix(seed);
}

uint64_t Random::operator()() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

double Random::uniform() {
  return static_cast<double>((*this)() >> 11) * 0x1.0p-53;
}

double Random::uniform(double low, double high) {
  return low + (high - low) * uniform();
}

int64_t Random::integer(int64_t low, int64_t high) {
  CAVMAE_CHECK(low <= high, "Random::integer: empty range ", low, " to ", high);
  const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low) + 1;
  if (range == 0) return static_cast<int64_t>((*this)());
  const uint64_t limit = max() - max() % range;
  uint64_t draw = (*this)();
  while (draw >= limit) draw = (*this)();
  return static_cast<int64_t>(static_cast<uint64_t>(low) + draw % range);
}

double Random::normal() {
  // Box-Muller; 1 - u keeps the logarithm away from zero.
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

}  // namespace cavmae
