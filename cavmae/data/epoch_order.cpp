#include "cavmae/data/epoch_order.h"

#include <numeric>
#include <utility>

#include "cavmae/core/random.h"

namespace cavmae {

std::vector<int64_t> epoch_order(int64_t num_clips, const EpochOptions& options) {
  std::vector<int64_t> order(num_clips);
  std::iota(order.begin(), order.end(), 0);
  if (!options.shuffle) return order;
  constexpr uint64_t kOrderKey = 0x6f72646572;  // apart from the seeds of clips
  Random random({options.seed, static_cast<uint64_t>(options.epoch), kOrderKey});
  for (int64_t i = num_clips - 1; i > 0; --i) std::swap(order[i], order[random.integer(0, i)]);
  return order;
}

}  // namespace cavmae
