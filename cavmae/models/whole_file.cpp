#include "cavmae/models/whole_file.h"

#include <algorithm>
#include <set>

#include "cavmae/core/error.h"
#include "cavmae/models/parameter_copy.h"

namespace cavmae {
namespace {

constexpr const char* kHead = "mlp_head.";
constexpr const char* kHeadParameters[] = {"mlp_head.0.weight", "mlp_head.0.bias", "mlp_head.1.weight",
                                           "mlp_head.1.bias"};

bool is_decoders(const std::string& name) {
  return name == "mask_token" || name.starts_with("decoder_");
}

// What a wrapper counts beside the parameters that it averages.
bool is_bookkeeping(const std::string& name) {
  return name == "n_averaged";
}

std::string counted(size_t count, const char* what) {
  return concat(count, " ", what, count == 1 ? "" : "s");
}

}  // namespace

std::vector<std::string> parameter_names(CavMaeConfig config) {
  config.patch_size = config.num_fbank_frames = config.num_mel_bins = config.image_size = 1;
  config.embed_dim = config.decoder_embed_dim = 4;
  config.num_heads = config.decoder_num_heads = 1;
  config.mlp_ratio = 1.0;
  return CavMae(config)->named_parameters().keys();
}

WholeFileReport compare_with_network(const TensorFile& contents, const ModelDescription& described,
                                     HeadUse head) {
  const bool with_head = described.head && head == HeadUse::if_any;
  std::vector<std::string> names = parameter_names(described.config);
  // A classifier has no decoder, whether the file has one or not.
  if (with_head) std::erase_if(names, is_decoders);
  if (with_head) names.insert(names.end(), std::begin(kHeadParameters), std::end(kHeadParameters));
  const std::set<std::string> known(names.begin(), names.end());
  std::set<std::string> held;
  WholeFileReport report;
  for (const auto& [name, tensor] : contents.tensors) {
    held.insert(name);
    const bool of_other_use = (head == HeadUse::leave_out && name.starts_with(kHead)) ||
                              (with_head && is_decoders(name)) || is_bookkeeping(name);
    if (!known.contains(name) && !of_other_use) report.unexpected.push_back(name);
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
