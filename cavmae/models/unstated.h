// What a file does not say of the model in it, and what is taken instead. Plain values and free functions.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace cavmae {

// An option that decides what a model computes and that its file does not state.
struct UnstatedOption {
  std::string name;        // "num_heads"
  std::string value;       // what is taken
  bool confirmed = false;  // the authors' value, and the tensors are those of their models; else a guess
};

// Throws ConfigError naming the flags to give, unless all are confirmed. `known`: what the tensors do show of
// the network.
void require_confirmed(const std::vector<UnstatedOption>& unstated, const std::filesystem::path& file,
                       const std::string& known);

// "num_heads 12, fbank_mean -5.081"; empty without any.
std::string list_of(const std::vector<UnstatedOption>& unstated);

}  // namespace cavmae
