#include "cavmae/models/initial_parameters.h"

#include <set>

#include "cavmae/models/image_mae.h"
#include "cavmae/models/model_file.h"

namespace cavmae {

InitialReport load_initial_parameters(torch::nn::Module& network, const CavMaeConfig& config,
                                      const std::filesystem::path& path, PositionFit positions) {
  InitialReport report;
  report.file = find_model_file(path);
  TensorFile contents = read_model_file(report.file);
  const auto names = network.named_parameters().keys();
  report.num_parameters = static_cast<int64_t>(names.size());
  report.image_mae = is_image_mae(contents.tensors);
  std::vector<std::string> unused;
  if (report.image_mae) {
    auto mapped = from_image_mae(contents.tensors,
                                 {.config = config, .parameters = std::set(names.begin(), names.end())},
                                 report.file.string());
    contents.tensors = std::move(mapped.tensors);
    unused = std::move(mapped.unused);
  }
  report.parameters = copy_parameters(network, config,
                                      {.tensors = contents.tensors,
                                       .where = report.file.string(),
                                       .config = stated_config(contents, report.file)},
                                      positions);
  for (std::string& name : unused) report.parameters.unexpected.push_back(std::move(name));
  return report;
}

void log_initial_report(const InitialReport& report, Log& log) {
  const LoadReport& parameters = report.parameters;
  log.info("beginning from {}{}: {} of {} parameters taken", report.file.string(),
           report.image_mae ? " (an image MAE)" : "",
           report.num_parameters - static_cast<int64_t>(parameters.missing.size()), report.num_parameters);
  const auto list = [&](const char* what, const std::vector<std::string>& names) {
    if (!names.empty()) log.info("{}: {}", what, summarize_names(names));
  };
  list("fitted to this network's grids", parameters.resized);
  list("not in the file, left at their initial values", parameters.missing);
  list("in the file, of no use to this network", parameters.unexpected);
}

}  // namespace cavmae
