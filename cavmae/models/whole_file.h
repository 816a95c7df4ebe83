// Whether a file holds the whole of its network and nothing else. Free functions.
#pragma once

#include <string>
#include <vector>

#include "cavmae/models/model_description.h"

namespace cavmae {

// What to do with a file that lacks parameters, or has tensors that its network has no place for: layers
// under other names, the tokens of a later model.
enum class PartialFile {
  refuse,  // CheckpointError with the names
  allow,   // parameters that are missing keep their initial values; tensors without a place are left out
};

struct WholeFileReport {
  std::vector<std::string> missing;        // parameters of the file's own network
  std::vector<std::string> unexpected;     // tensors that neither it nor any part of a model is made of
  std::vector<std::string> left_out = {};  // of a part that is known and that this program has no use for
};

// leave_out: a classifier's network alone, whatever its head is.
enum class HeadUse { if_any, leave_out };

// Note [Contrastive heads]: CAV-MAE Sync may be trained with two blocks a modality before the contrastive
// loss, "constrative_head_audio" and "constrative_head_visual" (sic), which its published results do without.
// They are named and left out; only what was trained with them and is compared as they give it needs them.
//
// The file beside the network that describe_model() says is in it. A decoder beside a head, and with `head`
// left out any head, is no unexpected tensor.
WholeFileReport compare_with_network(const TensorFile& contents, const ModelDescription& described,
                                     HeadUse head);

// Throws CheckpointError, unless nothing is missing and nothing unexpected or `partial` allows it.
void require_whole(const WholeFileReport& report, const std::string& where, PartialFile partial);

// The parameters of a network, in its order. Nothing of its size is made.
std::vector<std::string> parameter_names(const CavMaeConfig& config);

}  // namespace cavmae
