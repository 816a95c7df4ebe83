#include "cavmae/data/batch_parts.h"

#include <algorithm>

namespace cavmae {

BatchParts::BatchParts(int64_t num_clips, int64_t batch_size, const EpochOptions& epoch)
    : start_(epoch.start_position),
      batch_size_(batch_size),
      num_positions_(std::max<int64_t>(0, num_clips - epoch.start_position)),
      part_(epoch.part),
      count_((num_positions_ + (epoch.drop_last ? 0 : batch_size - 1)) / batch_size) {}

BatchPart BatchParts::at(int64_t batch) const {
  const auto [rank, ranks] = part_;
  const int64_t before = part_begin(batch_size_, rank + 1, ranks) - part_begin(batch_size_, rank, ranks);
  BatchPart part;
  part.rows = std::min(batch_size_, num_positions_ - batch * batch_size_);
  part.first_row = part_begin(part.rows, rank, ranks);
  part.first = batch * before;
  part.end = part.first + part_begin(part.rows, rank + 1, ranks) - part.first_row;
  part.next_position = start_ + batch * batch_size_ + part.rows;
  return part;
}

std::vector<int64_t> BatchParts::own(const std::vector<int64_t>& of_order) const {
  std::vector<int64_t> out;
  for (int64_t batch = 0; batch < count_; ++batch) {
    const BatchPart part = at(batch);
    const auto begin = of_order.begin() + part.next_position - part.rows + part.first_row;
    out.insert(out.end(), begin, begin + (part.end - part.first));
  }
  return out;
}

}  // namespace cavmae
