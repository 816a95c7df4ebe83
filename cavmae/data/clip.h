// The vocabulary of data/: a clip's tensors, batches of them, clips that cannot be read, and the order of an
// epoch. Plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/core/torch.h"
#include "cavmae/data/clip_list.h"

namespace cavmae {

// Which modalities of a clip are read. any: those that it has.
enum class Need { both, audio, video, any };

struct Sample {
  // float [T, F], normalised, or with FrameChoice::all and alignment picture [K, T, F], a segment a picture;
  // undefined when the clip has none
  torch::Tensor audio;
  torch::Tensor
      video;  // float [3, S, S], or [K, 3, S, S] with FrameChoice::all; undefined when the clip has none
  torch::Tensor target = {};  // float [C]; undefined when no labels are asked for
};

struct Batch {
  torch::Tensor audio;           // float [B, T, F] or [B, K, T, F]; undefined when not needed
  torch::Tensor video;           // float [B, 3, S, S] or [B, K, 3, S, S]; undefined when not needed
  torch::Tensor targets;         // float [B, C]; undefined without Loader::supervise()
  std::vector<int64_t> indices;  // positions in the list of clips, [B]
  int64_t next_position = 0;     // where in the epoch's order to go on after this batch
  // Its place among the positions that it was made of, see Note [Batches of positions].
  int64_t number = 0;              // of the batches of this epoch that were begun, from 0
  std::vector<int64_t> rows = {};  // of each clip, [B]; empty: 0 to B-1
  int64_t size = 0;                // positions; 0: B

  bool empty() const { return indices.empty(); }  // no clip could be read, or all are other ranks'
};

enum class ClipSide { both, audio, video };

// "both", "audio", "video", as files and JSON have it.
inline const char* side_name(ClipSide side) {
  return side == ClipSide::audio ? "audio" : side == ClipSide::video ? "video" : "both";
}
inline ClipSide side_of_name(const std::string& name) {
  return name == "audio" ? ClipSide::audio : name == "video" ? ClipSide::video : ClipSide::both;
}

// Why a side of a clip is not there.
class SideError : public MediaError {
 public:
  // `is_lacking`: the clip has no such side, which is no damage.
  SideError(ClipSide side, bool is_lacking, const std::string& reason)
      : MediaError(reason), side_(side), is_lacking_(is_lacking) {}

  ClipSide side() const { return side_; }
  bool is_lacking() const { return is_lacking_; }

 private:
  ClipSide side_;
  bool is_lacking_;
};

struct BadClip {
  std::string id;
  std::string reason;
  ClipSide side = ClipSide::both;  // what could not be read
  bool is_lacking = false;         // as SideError's
};

// Which part of each batch is read, where several ranks read an epoch together.
struct RankPart {
  int64_t rank = 0, ranks = 1;

  bool operator==(const RankPart&) const = default;
};

// An epoch's order: clip indices that depend on (seed, epoch) alone, each once or, with Supervision::weights,
// as many draws with replacement; or the plain order.
struct EpochOptions {
  int64_t epoch = 0;
  uint64_t seed = 0;
  bool shuffle = true;
  bool drop_last = true;       // leave out a last batch that is not full
  int64_t start_position = 0;  // as Batch::next_position said
  RankPart part = {};

  bool operator==(const EpochOptions&) const = default;
};

}  // namespace cavmae
