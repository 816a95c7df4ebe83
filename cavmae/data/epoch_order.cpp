#include "cavmae/data/epoch_order.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/random.h"

namespace cavmae {

namespace {

constexpr uint64_t kOrderKey = 0x6f72646572;    // apart from the seeds of clips
constexpr uint64_t kBalanceKey = 0x62616c616e;  // and from each other

std::vector<int64_t> balanced_order(int64_t num_clips, const EpochOptions& options,
                                    const std::vector<double>& weights) {
  CAVMAE_CHECK(static_cast<int64_t>(weights.size()) == num_clips, weights.size(), " weights for ", num_clips,
               " clips");
  std::vector<double> sums(weights.size());
  std::partial_sum(weights.begin(), weights.end(), sums.begin());
  CAVMAE_CHECK(sums.back() > 0 && std::isfinite(sums.back()), "the clips' weights add up to ", sums.back());
  const double below_total = std::nextafter(sums.back(), 0.0);
  Random random({options.seed, static_cast<uint64_t>(options.epoch), kBalanceKey});
  std::vector<int64_t> order(num_clips);
  for (int64_t& index : order) {
    const double at = std::min(random.uniform() * sums.back(), below_total);
    index = std::upper_bound(sums.begin(), sums.end(), at) - sums.begin();
  }
  return order;
}

}  // namespace

std::vector<int64_t> epoch_order(int64_t num_clips, const EpochOptions& options,
                                 const std::vector<double>& weights) {
  if (options.shuffle && !weights.empty()) return balanced_order(num_clips, options, weights);
  std::vector<int64_t> order(num_clips);
  std::iota(order.begin(), order.end(), 0);
  if (!options.shuffle) return order;
  Random random({options.seed, static_cast<uint64_t>(options.epoch), kOrderKey});
  for (int64_t i = num_clips - 1; i > 0; --i) std::swap(order[i], order[random.integer(0, i)]);
  return order;
}

std::vector<int64_t> occurrences(const std::vector<int64_t>& order, int64_t num_clips) {
  std::vector<int64_t> seen(num_clips, 0), out;
  for (const int64_t index : order) out.push_back(seen[index]++);
  return out;
}

}  // namespace cavmae
