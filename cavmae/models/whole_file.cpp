#include "cavmae/models/whole_file.h"

#include <algorithm>
#include <set>

#include "cavmae/core/error.h"
#include "cavmae/models/parameter_copy.h"

namespace cavmae {
namespace {

bool is_decoders(const std::string& name) {
  return name == "mask_token" || name.starts_with("decoder_");
}

// See Note [Contrastive heads].
bool is_contrastive_head(const std::string& name) {
  return name.starts_with("constrative_head_");
}

// What a wrapper counts beside the parameters that it averages.
bool is_bookkeeping(const std::string& name) {
  return name == "n_averaged";
}

std::string counted(size_t count, const char* what) {
  return concat(count, " ", what, count == 1 ? "" : "s");
}

// A network of that kind with next to no width.
CavMaeConfig narrow(CavMaeConfig config) {
  config.patch_size = config.num_fbank_frames = config.num_mel_bins = config.image_size = 1;
  config.audio_window_frames = 0;
  config.embed_dim = config.decoder_embed_dim = 4;
  config.num_heads = config.decoder_num_heads = 1;
  config.mlp_ratio = 1.0;
  return config;
}

}  // namespace

std::vector<std::string> parameter_names(const CavMaeConfig& config) {
  return CavMae(narrow(config))->named_parameters().keys();
}

WholeFileReport compare_with_network(const TensorFile& contents, const ModelDescription& described,
                                     HeadUse head) {
  const bool with_head = described.head && head == HeadUse::if_any;
  // A classifier has no decoder, whether the file has one or not.
  const std::vector<std::string> names =
      with_head ? Classifier(narrow(described.config), *described.head)->named_parameters().keys()
                : parameter_names(described.config);
  const std::set<std::string> known(names.begin(), names.end());
  std::set<std::string> held;
  WholeFileReport report;
  for (const auto& [name, tensor] : contents.tensors) {
    held.insert(name);
    const bool of_other_use = (head == HeadUse::leave_out && is_of_head(name)) ||
                              (with_head && is_decoders(name)) || is_bookkeeping(name);
    if (known.contains(name) || of_other_use) continue;
    (is_contrastive_head(name) ? report.left_out : report.unexpected).push_back(name);
  }
  for (const std::string& name : names)
    if (!held.contains(name)) report.missing.push_back(name);
  return report;
}

void require_whole(const WholeFileReport& report, const std::string& where, PartialFile partial) {
  if (partial == PartialFile::allow || (report.missing.empty() && report.unexpected.empty())) return;
  std::string text;
  if (!report.missing.empty())
    text += concat("lacks ", counted(report.missing.size(), "parameter"),
                   " of its network: ", summarize_names(report.missing));
  if (!report.unexpected.empty())
    text += concat(text.empty() ? "" : "; it ", "has ", counted(report.unexpected.size(), "tensor"),
                   " that the network has no place for: ", summarize_names(report.unexpected));
  throw CheckpointError(concat(
      where, ": ", text,
      "; it is incomplete, has its layers under other names or is of another model. --allow-partial takes it as "
      "it is: what it lacks keeps random initial values, what has no place is left out"));
}

}  // namespace cavmae
