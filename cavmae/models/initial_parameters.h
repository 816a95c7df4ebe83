// The beginning of a network that is to be trained: a model of ours or the authors' (pretrained or
// fine-tuned), or He et al.'s image MAE (Note [Image MAE]). Free functions.
#pragma once

#include <filesystem>

#include "cavmae/core/log.h"
#include "cavmae/models/parameter_copy.h"

namespace cavmae {

struct InitialReport {
  LoadReport parameters;
  int64_t num_parameters = 0;  // tensors of the network
  std::filesystem::path file;  // that was read
  bool image_mae = false;
};

// `network`: one whose parameters bear our names, already initialised; what the file lacks keeps its value.
// `path`: what find_model_file() takes.
InitialReport load_initial_parameters(torch::nn::Module& network, const CavMaeConfig& config,
                                      const std::filesystem::path& path, PositionFit positions);

// Tells what was taken, what was fitted, what is left at its initial value and what was not used.
void log_initial_report(const InitialReport& report, Log& log);

}  // namespace cavmae
