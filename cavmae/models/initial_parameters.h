// The beginning of a network that is to be trained: a model of ours or the authors' (pretrained or
// fine-tuned), or He et al.'s image MAE (Note [Image MAE]). Free functions.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/models/parameter_copy.h"
#include "cavmae/models/whole_file.h"

namespace cavmae {

struct InitialReport {
  LoadReport parameters;
  int64_t num_parameters = 0;  // tensors of the network
  std::filesystem::path file;  // that was read
  bool image_mae = false;
  std::filesystem::path described_in;  // see ModelFile
  std::string network;                 // likewise
  std::vector<std::string> copies;
};

struct InitialOptions {
  std::string network = {};  // which one of a file that holds several, see NetworkTensors::network
  PositionFit positions = PositionFit::refuse;
  PartialFile partial = PartialFile::refuse;  // of a file that is not the whole of its own network
};

// `network`: one whose parameters bear our names, already initialised; what the file's network does not have
// keeps its value. `path`: what find_model_file() takes. Throws CheckpointError as load_pretrained() does,
// and ConfigError where the file's network has another number of heads than `config` or the file holds no
// network of the name.
InitialReport load_initial_parameters(torch::nn::Module& network, const CavMaeConfig& config,
                                      const std::filesystem::path& path, const InitialOptions& options);

// Tells what was taken, what was fitted, what is left at its initial value and what was not used.
void log_initial_report(const InitialReport& report, Log& log);

}  // namespace cavmae
