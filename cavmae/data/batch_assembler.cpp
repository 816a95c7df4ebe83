#include "cavmae/data/batch_assembler.h"

#include <utility>

#include "cavmae/core/error.h"

namespace cavmae {

BatchAssembler::BatchAssembler(Inputs inputs, int64_t batch_size, const EpochOptions& epoch)
    : in_(inputs),
      batch_size_(batch_size),
      epoch_(epoch),
      parts_(static_cast<int64_t>(in_.clips.size()), batch_size, epoch) {}

void BatchAssembler::add(int64_t position, ReadResult result) {
  waiting_.emplace(position, std::move(result));
}

void BatchAssembler::scan() {
  const BatchPart part = parts_.at(batch_);
  while (next_ < part.end) {
    const auto it = waiting_.find(next_);
    if (it == waiting_.end()) return;
    ReadResult result = std::move(it->second);
    waiting_.erase(it);
    const int64_t row = part.first_row + next_ - part.first;
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
    forming_.rows.push_back(row);
  }
}

SampleList BatchAssembler::finish_batch() {
  const BatchPart part = parts_.at(batch_);
  forming_.size = part.rows;
  forming_.next_position = part.next_position;
  forming_.number = batch_++;
  return std::exchange(forming_, SampleList{});
}

BatchAssembler::Output BatchAssembler::end() {
  ended_ = true;
  in_.bad.check_share(/*at_end=*/true);
  const bool whole_epoch = epoch_.start_position == 0;
  CAVMAE_CHECK_AS(DataError, parts_.count() > 0 || !epoch_.drop_last || !whole_epoch, "the data hold ",
                  in_.clips.size(), " clips, fewer than one batch of ", batch_size_,
                  "; make --batch-size smaller or add clips");
  return EndOfEpoch{};
}

std::optional<BatchAssembler::Output> BatchAssembler::take() {
  if (ended_) return std::nullopt;
  try {
    if (batch_ == parts_.count()) return end();
    scan();
    if (next_ == parts_.at(batch_).end) return finish_batch();
    return std::nullopt;
  } catch (...) {
    ended_ = true;
    return std::current_exception();
  }
}

}  // namespace cavmae
