#include "cavmae/data/batch_assembler.h"

#include <utility>

#include "cavmae/core/error.h"

namespace cavmae {

BatchAssembler::BatchAssembler(Inputs inputs, int64_t batch_size, const EpochOptions& epoch)
    : in_(inputs), batch_size_(batch_size), epoch_(epoch), next_(epoch.start_position) {}

void BatchAssembler::add(int64_t position, ReadResult result) {
  waiting_.emplace(position, std::move(result));
}

void BatchAssembler::scan() {
  while (static_cast<int64_t>(forming_.samples.size()) < batch_size_) {
    const auto it = waiting_.find(next_);
    if (it == waiting_.end()) return;
    ReadResult result = std::move(it->second);
    waiting_.erase(it);
    const int64_t index = in_.order[next_++];
    if (result.error) std::rethrow_exception(result.error);
    if (result.bad_reason) {
      in_.bad.count_bad({.id = std::string(in_.clips.id(index)),
                         .reason = *result.bad_reason,
                         .side = result.bad_side,
                         .is_lacking = result.is_lacking});
      in_.bad.check_share(/*at_end=*/false);
      continue;
    }
    in_.bad.count_good();
    ++num_good_;
    forming_.samples.push_back(std::move(result.sample));
    forming_.indices.push_back(index);
    forming_.next_position = next_;
  }
}

BatchAssembler::Output BatchAssembler::end() {
  ended_ = true;
  in_.bad.check_share(/*at_end=*/true);
  const bool whole_epoch = epoch_.start_position == 0;
  CAVMAE_CHECK_AS(DataError, num_good_ >= batch_size_ || !epoch_.drop_last || !whole_epoch, "only ",
                  num_good_, " of ", in_.order.size(), " clips can be read, fewer than one batch of ",
                  batch_size_, "; make --batch-size smaller or add clips");
  return EndOfEpoch{};
}

std::optional<BatchAssembler::Output> BatchAssembler::take() {
  if (ended_) return std::nullopt;
  try {
    scan();
    const auto size = static_cast<int64_t>(forming_.samples.size());
    const bool at_end = next_ == static_cast<int64_t>(in_.order.size());
    if (size == batch_size_ || (size > 0 && at_end && !epoch_.drop_last))
      return std::exchange(forming_, SampleList{});
    if (at_end) return end();
    return std::nullopt;
  } catch (...) {
    ended_ = true;
    return std::current_exception();
  }
}

}  // namespace cavmae
