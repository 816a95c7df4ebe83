#include "cavmae/models/parameter_copy.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <string_view>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/models/resize_positions.h"

namespace cavmae {
namespace {

// Tensors of another size than their parameters.
class SizeMismatches {
 public:
  void add(const std::string& name, const torch::Tensor& from, const torch::Tensor& to) {
    positions_alone_ = positions_alone_ && is_position_table(name) && from.dim() == 3 && to.dim() == 3 &&
                       from.size(2) == to.size(2);
    if (count_++ < kMaxNamed)
      text_ += concat(count_ == 1 ? "" : ", ", "tensor '", name, "' has the size ", from.sizes(),
                      " (the model's: ", to.sizes(), ")");
  }

  void throw_if_any(const std::string& where) const {
    if (count_ == 0) return;
    throw CheckpointError(concat(
        where, ": ", text_, count_ > kMaxNamed ? concat(" and ", count_ - kMaxNamed, " more") : "",
        positions_alone_
            ? "; clips of another length or pictures of another size: --resize-positions fits the positions"
            : "; use the configuration that the checkpoint was made with"));
  }

 private:
  static constexpr int64_t kMaxNamed = 6;
  int64_t count_ = 0;
  bool positions_alone_ = true;
  std::string text_;
};

// Replaces position tables of another grid by tables of the network's. With PositionFit::refuse, throws where
// only the grid differs; another length is found with the other sizes.
void fit_tables(std::map<std::string, torch::Tensor>& found, const CavMaeConfig& config,
                const torch::OrderedDict<std::string, torch::Tensor>& parameters, const CopySource& source,
                PositionFit positions, LoadReport& report) {
  for (const auto& item : parameters) {
    const auto it = found.find(item.key());
    if (it == found.end() || !is_position_table(item.key())) continue;
    torch::Tensor& table = it->second;
    const bool same_length = table.sizes() == item.value().sizes();
    if (table.dim() != 3 || table.size(2) != item.value().size(2) || (same_length && !source.config) ||
        (!same_length && positions == PositionFit::refuse))
      continue;
    const GridChange grids = grid_change({.name = item.key(), .length = table.size(1), .where = source.where},
                                         source.config, config);
    if (grids.from.rows == grids.to.rows && grids.from.columns == grids.to.columns) continue;
    CAVMAE_CHECK_AS(CheckpointError, positions != PositionFit::refuse, source.where, ": '", item.key(),
                    "' holds positions of ", grids.from.rows, " x ", grids.from.columns,
                    " patches, the model's are ", grids.to.rows, " x ", grids.to.columns,
                    "; --resize-positions fits them");
    const ResizedTable resized = resize_positions(table, item.key(), grids, positions);
    table = resized.table;
    report.resized.push_back(concat(item.key(), " (", resized.how, ")"));
  }
}

}  // namespace

LoadReport copy_parameters(torch::nn::Module& network, const CavMaeConfig& config, const CopySource& source,
                           PositionFit positions) {
  const torch::NoGradGuard no_grad;
  std::map<std::string, torch::Tensor> found(source.tensors.begin(), source.tensors.end());
  auto parameters = network.named_parameters();
  LoadReport report;
  fit_tables(found, config, parameters, source, positions, report);
  SizeMismatches mismatches;
  for (const auto& item : parameters) {
    const auto it = found.find(item.key());
    if (it == found.end()) {
      report.missing.push_back(item.key());
      continue;
    }
    if (it->second.sizes() != item.value().sizes()) mismatches.add(item.key(), it->second, item.value());
    CAVMAE_CHECK_AS(CheckpointError, at::isFloatingType(it->second.scalar_type()), source.where, ": tensor '",
                    item.key(), "' holds ", it->second.scalar_type(), ", not floating-point numbers");
  }
  mismatches.throw_if_any(source.where);
  CAVMAE_CHECK_AS(CheckpointError, report.missing.size() < parameters.size(), source.where, ": none of its ",
                  source.tensors.size(), " tensors is a parameter of the model (the first of those is '",
                  parameters.front().key(), "')");
  for (auto& item : parameters) {
    const auto it = found.find(item.key());
    if (it == found.end()) continue;
    const torch::Tensor& from = it->second;
    if (source.shares_memory && from.options().type_equal(item.value().options()) && from.is_contiguous())
      item.value().set_data(from);
    else
      item.value().copy_(from);
  }
  for (const auto& [name, tensor] : source.tensors)
    if (!parameters.contains(name)) report.unexpected.push_back(name);
  return report;
}

std::string summarize_names(const std::vector<std::string>& names) {
  struct Pattern {
    std::string text, first;  // with '*' for numbers, and the first name of that kind
    int64_t count = 0;
  };
  std::vector<Pattern> patterns;
  for (const std::string& name : names) {
    std::string text;
    for (size_t i = 0; i < name.size(); ++i) {
      const bool digit = std::isdigit(static_cast<unsigned char>(name[i])) && i > 0 &&
                         (name[i - 1] == '.' || text.ends_with(".*"));
      if (!digit)
        text += name[i];
      else if (!text.ends_with(".*"))
        text += '*';
    }
    auto known = std::ranges::find(patterns, text, &Pattern::text);
    if (known == patterns.end()) known = patterns.insert(known, {.text = text, .first = name, .count = 0});
    ++known->count;
  }
  std::string text;
  for (const Pattern& pattern : patterns)
    text += concat(text.empty() ? "" : ", ", pattern.count > 1 ? pattern.text : pattern.first,
                   pattern.count > 1 ? concat(" (", pattern.count, ")") : "");
  return text;
}

}  // namespace cavmae
