// Which of a file's tensors are those of a network of ours, or of an image MAE, and what the network calls
// them: training programs put prefixes before the names and other tensors beside. Free functions.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace cavmae {

// Where a tensor is in a file.
struct TensorPlace {
  std::string holder;  // the dictionary that holds it, as PthTensor says it; empty in a .safetensors
  std::string name;    // its name there
};

struct NetworkTensors {
  std::string network;              // where it was found, "state_dict.model"; empty: the file itself
  std::vector<std::string> copies;  // other places that hold the same network: of averaged parameters, ...
  std::vector<std::pair<size_t, std::string>> tensors;  // place in the list, and the name in the network
};

// Note [Prefixes]: what wrappers put into names is taken out wherever it stands ("module.", "_orig_mod.", of
// DataParallel, torch.compile, FSDP and checkpointing of activations), and so is the prefix that stands
// before all names of the network, whatever it is ("model.", "net.encoder."). Where a file holds the network
// several times, the one is taken that `wanted` names (a place as in NetworkTensors::network), else one under
// a usual name ("model", "state_dict", "module", ...), and none that is called an average ("ema", "teacher",
// "swa",
// ...) or belongs to an optimizer while there is another. Tensors that are in the same dictionary and in no
// copy of the network stay, under their whole names.
//
// Throws ConfigError when there is nothing under `wanted`, and CheckpointError when two tensors have the same
// name without their prefixes. `where` names the file.
NetworkTensors find_network(const std::vector<TensorPlace>& places, const std::string& wanted,
                            const std::string& where);

}  // namespace cavmae
