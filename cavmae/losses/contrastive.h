// The contrastive loss: Gong et al., ICLR 2023, Eq. (7). Free functions.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/dist/world.h"

namespace cavmae {

// Which clips are a clip's negatives where several ranks compute one batch.
enum class Negatives { automatic, all, group, rank };
inline std::vector<std::pair<Negatives, std::string>> option_names(Negatives) {
  return {{Negatives::automatic, "auto"},
          {Negatives::all, "all"},
          {Negatives::group, "group"},
          {Negatives::rank, "rank"}};
}

struct ContrastiveOptions {
  double temperature = 0.05;
  bool bidirectional = false;  // else each video against all audios, as the authors train
  // Note [Contrastive groups]: clips find their partners within a group of at most so many. The authors train
  // on several devices and each contrasts the clips it holds alone (27 of a batch of 108 on four); with 27
  // here one device computes the same loss. 0: the whole batch. A batch that this does not divide is cut into
  // groups as equal as possible.
  int64_t contrastive_batch = 0;
  // automatic: group where contrastive_batch is set, else all.
  Negatives negatives = Negatives::automatic;

  Negatives resolved_negatives() const {
    if (negatives != Negatives::automatic) return negatives;
    return contrastive_batch > 0 ? Negatives::group : Negatives::all;
  }

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("temperature", o.temperature, "temperature of the contrastive loss");
    v("bidirectional", o.bidirectional, "average the loss over both directions");
    v("contrastive_batch", o.contrastive_batch,
      "clips that are contrasted with each other, at most; a larger batch is cut into such groups (0: the whole batch)");
    v("negatives", o.negatives,
      "what a clip is contrasted with on several ranks: all clips of the batch, those of its group (of contrastive_batch), or "
      "those of its rank, where the number of ranks decides the loss (auto: group where contrastive_batch is set, else all)");
  }
};

struct ContrastiveResult {
  torch::Tensor loss;      // float []
  torch::Tensor accuracy;  // float [], no gradient
};

// Where the clips of a call stand in their batch, of which they may be a part: other ranks have the rest, and
// clips that cannot be read are missing.
struct RowsOfBatch {
  std::vector<int64_t> rows = {};  // of each clip, ascending; empty: 0 to B-1
  int64_t batch = 0;               // rows of the whole batch; 0: B
};

// Means over the clips, whatever their groups. audio, video: float [B, D], not yet normalised. Groups are cut
// from the rows of the whole batch, so that a missing clip leaves its group alone smaller.
//
// Of several ranks with Negatives::all it is the loss of their clips joined by rank, the same on each of
// them; B may then be 0. A rank's gradient is that of its own clips times all clips over its own, so that the
// mean of the parameters' gradients over the clips of all ranks is the gradient of the joined batch. With
// group and rank it is the loss of this rank's clips. Every rank calls it.
ContrastiveResult contrastive_loss(const torch::Tensor& audio, const torch::Tensor& video,
                                   const ContrastiveOptions& options, World& world,
                                   const RowsOfBatch& place = {});

// Whether the other ranks' clips are negatives, so that a rank without clips has to call contrastive_loss()
// as well.
bool gathers_negatives(const ContrastiveOptions& options, const World& world);

// Throws ConfigError, naming both numbers, where a group of a batch of so many clips would straddle ranks.
void check_groups_fit_ranks(const ContrastiveOptions& options, int64_t batch, const World& world);

}  // namespace cavmae
