#include "cavmae/models/unstated.h"

#include <algorithm>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

// The flag of an option with the kind of its value, as a command line has it.
std::string flag_of(const std::string& option) {
  std::string flag = "--" + option;
  std::replace(flag.begin(), flag.end(), '_', '-');
  if (option == "mode") return flag + " both|audio|video";
  if (option == "scores") return flag + " sigmoid|softmax";
  if (option == "window_seconds") return flag + " SECONDS";
  const bool is_count =
      option.starts_with("num_") || option.ends_with("_heads") || option.ends_with("_frames");
  return flag + (is_count ? " N" : " X");
}

}  // namespace

void require_confirmed(const std::vector<UnstatedOption>& unstated, const std::filesystem::path& file,
                       const std::string& known) {
  std::string flags;
  for (const UnstatedOption& option : unstated)
    if (!option.confirmed) flags += " " + flag_of(option.name);
  CAVMAE_CHECK_AS(ConfigError, flags.empty(), file.string(),
                  ": does not say how its model was built and fed, and its tensors (", known,
                  ") are not those of the authors' models, whose values would hold; give", flags, "; or put ",
                  file.filename().string(),
                  ".json beside it, as 'cavmae convert' writes it with a .pth (docs/formats.md)");
}

std::string list_of(const std::vector<UnstatedOption>& unstated) {
  std::string text;
  for (const UnstatedOption& option : unstated)
    text += concat(text.empty() ? "" : ", ", option.name, " ", option.value);
  return text;
}

}  // namespace cavmae
