// Puts clips that were read in any order into batches in the epoch's order, leaving out bad ones, see Note
// [Batches of positions]. What comes out depends on the clips alone, not on the order of reading. Not for
// several threads at once.
#pragma once

#include <cstdint>
#include <exception>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cavmae/data/bad_clips.h"
#include "cavmae/data/batch_parts.h"
#include "cavmae/data/clip.h"

namespace cavmae {

// What became of one clip: a sample, or a reason that makes it a bad clip, or an error that ends the epoch.
struct ReadResult {
  Sample sample;
  std::optional<std::string> bad_reason;
  ClipSide bad_side = ClipSide::both;
  bool is_lacking = false;  // as SideError's
  std::exception_ptr error;
};

// A batch before its tensors are joined.
struct SampleList {
  std::vector<Sample> samples;
  std::vector<int64_t> indices;  // positions in the list of clips
  std::vector<int64_t> rows;     // as Batch's, and so are the following
  int64_t size = 0;
  int64_t number = 0;
  int64_t next_position = 0;
};

struct EndOfEpoch {};

class BatchAssembler {
 public:
  // `order` (what BatchParts::own() gives) and `bad` must outlive it.
  struct Inputs {
    const std::vector<int64_t>& order;
    ClipList clips;
    BadClips& bad;
  };
  BatchAssembler(Inputs inputs, int64_t batch_size, const EpochOptions& epoch);

  // The clip at `position` of `order`.
  void add(int64_t position, ReadResult result);

  // What comes next in order, as soon as it is known: batches, then the end or the error that ends it all.
  using Output = std::variant<SampleList, std::exception_ptr, EndOfEpoch>;
  std::optional<Output> take();

  // Clips that were looked at in order, and the good ones among them.
  int64_t num_scanned() const { return next_; }
  int64_t num_good() const { return num_good_; }
  bool ended() const { return ended_; }

 private:
  // Takes what is there in order, until the batch is complete.
  void scan();
  SampleList finish_batch();
  Output end();

  Inputs in_;
  int64_t batch_size_;
  EpochOptions epoch_;
  BatchParts parts_;
  std::map<int64_t, ReadResult> waiting_;  // by position
  SampleList forming_;
  int64_t batch_ = 0;  // that is forming
  int64_t next_ = 0;   // position that is scanned next
  int64_t num_good_ = 0;
  bool ended_ = false;
};

}  // namespace cavmae
