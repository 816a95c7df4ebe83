#include "cavmae/models/initial_parameters.h"

#include <set>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/models/image_mae.h"
#include "cavmae/models/model_file.h"

namespace cavmae {
namespace {

bool is_confirmed(const ModelDescription& described, const std::string& option) {
  for (const UnstatedOption& unstated : described.unstated)
    if (unstated.name == option) return unstated.confirmed;
  return true;
}

// Another number of heads would take the parameters for what they are not, and no size shows it.
void require_same_heads(const ModelDescription& described, const CavMaeConfig& config) {
  const CavMaeConfig& from = described.config;
  const auto require = [&](const char* option, int64_t theirs, int64_t ours, bool same_width) {
    CAVMAE_CHECK_AS(ConfigError, !same_width || theirs == ours || !is_confirmed(described, option), option,
                    " is ", ours, ", but the network of ", described.path.string(), " has ", theirs,
                    "; give the same (a .pth that is not as it seems: state it in ",
                    description_path(described.path).filename().string(), ")");
  };
  require("num_heads", from.num_heads, config.num_heads, from.embed_dim == config.embed_dim);
  require("decoder_num_heads", from.decoder_num_heads, config.decoder_num_heads,
          from.decoder_depth > 0 && config.decoder_depth > 0 &&
              from.decoder_embed_dim == config.decoder_embed_dim);
}

// The configuration of the network in the file, where its grid of audio is known.
std::optional<CavMaeConfig> checked_source(const ModelFile& contents, const CavMaeConfig& config,
                                           const std::filesystem::path& file, PartialFile partial) {
  const ModelDescription described = describe_model(contents, file, {});
  require_whole(compare_with_network(contents, described, HeadUse::leave_out), file.string(), partial);
  require_same_heads(described, config);
  return is_confirmed(described, "num_mel_bins") ? std::optional(described.config) : std::nullopt;
}

}  // namespace

InitialReport load_initial_parameters(torch::nn::Module& network, const CavMaeConfig& config,
                                      const std::filesystem::path& path, const InitialOptions& options) {
  InitialReport report;
  report.file = find_model_file(path);
  ModelFile contents = read_model_file(report.file, options.network);
  report.described_in = contents.described_in;
  report.network = contents.network;
  report.copies = contents.copies;
  const auto names = network.named_parameters().keys();
  report.num_parameters = static_cast<int64_t>(names.size());
  report.image_mae = is_image_mae(contents.tensors);
  std::vector<std::string> unused;
  std::optional<CavMaeConfig> source;
  if (report.image_mae) {
    auto mapped = from_image_mae(contents.tensors,
                                 {.config = config, .parameters = std::set(names.begin(), names.end())},
                                 report.file.string());
    contents.tensors = std::move(mapped.tensors);
    unused = std::move(mapped.unused);
  } else {
    source = checked_source(contents, config, report.file, options.partial);
  }
  report.parameters = copy_parameters(
      network, config,
      {.tensors = contents.tensors, .where = report.file.string(), .config = std::move(source)},
      options.positions);
  for (std::string& name : unused) report.parameters.unexpected.push_back(std::move(name));
  return report;
}

void log_initial_report(const InitialReport& report, Log& log) {
  const LoadReport& parameters = report.parameters;
  log.info("beginning from {}{}: {} of {} parameters taken", report.file.string(),
           report.image_mae ? " (an image MAE)" : "",
           report.num_parameters - static_cast<int64_t>(parameters.missing.size()), report.num_parameters);
  if (!report.described_in.empty())
    log.info("what it does not say is taken from {}", report.described_in.string());
  for (const std::string& copy : report.copies)
    log.info("it holds the network several times; taken is '{}', not '{}' (--network)",
             report.network.empty() ? "." : report.network, copy.empty() ? "." : copy);
  const auto list = [&](const char* what, const std::vector<std::string>& names) {
    if (!names.empty()) log.info("{}: {}", what, summarize_names(names));
  };
  list("fitted to this network's grids", parameters.resized);
  list("not in the file, left at their initial values", parameters.missing);
  list("in the file, of no use to this network", parameters.unexpected);
}

}  // namespace cavmae
