#include "cavmae/train/ablation_table.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "cavmae/core/files.h"
#include "cavmae/metrics/metric.h"

namespace cavmae {
namespace {

// What is compared: the last validation's metrics, and those of the linear probe under "probe_KEY".
struct Column {
  std::string key;  // in AblationRow::results
  Metric metric;
  size_t place = 0;
};

std::optional<Column> column_of(const std::string& key) {
  if (!key.starts_with(kProbePrefix))
    return find_metric(key).compared ? std::optional<Column>({key, find_metric(key), metric_place(key)})
                                     : std::nullopt;
  std::optional<Column> column = column_of(key.substr(std::string_view(kProbePrefix).size()));
  if (!column) return std::nullopt;
  column->key = key;
  column->metric.title = "linear probe " + column->metric.title;
  column->place += metric_table().size();
  return column;
}

// Those that any cell has, in the order of the metrics.
std::vector<Column> columns_of(const std::vector<AblationRow>& rows) {
  std::vector<Column> columns;
  for (const AblationRow& row : rows)
    for (const auto& [key, value] : row.results.items()) {
      const std::optional<Column> column = column_of(key);
      if (column && std::ranges::find(columns, key, &Column::key) == columns.end())
        columns.push_back(*column);
    }
  std::ranges::stable_sort(columns, {}, &Column::place);
  return columns;
}

// A mean over no class at all is not a number, and null once it was written.
std::string show(const Column& column, const Json& results) {
  if (!results.contains(column.key) || !results.at(column.key).is_number()) return "-";
  return metric_text(column.metric, results.at(column.key).get<double>());
}

std::string line(const std::vector<std::string>& cells) {
  std::string out = "|";
  for (const std::string& cell : cells) out += " " + cell + " |";
  return out + "\n";
}

}  // namespace

std::string ablation_table(const std::vector<AblationRow>& rows) {
  if (rows.empty()) return "";
  const std::vector<Column> columns = columns_of(rows);
  std::vector<std::string> titles, rule;
  for (const auto& [option, value] : rows.front().cell.settings) titles.push_back(option);
  rule.assign(titles.size(), "---");
  for (const Column& column : columns) {
    titles.push_back(column.metric.title);
    rule.emplace_back("---:");
  }
  std::string out = line(titles) + line(rule);
  for (const AblationRow& row : rows) {
    std::vector<std::string> cells;
    for (const auto& [option, value] : row.cell.settings) cells.push_back(value);
    for (const Column& column : columns) cells.push_back(show(column, row.results));
    out += line(cells);
  }
  return out;
}

void write_ablation_table(const std::filesystem::path& out, const std::vector<AblationRow>& rows) {
  Json json = Json::array();
  for (const AblationRow& row : rows) {
    Json settings = Json::object();
    for (const auto& [option, value] : row.cell.settings) settings[option] = value;
    json.push_back({{"settings", settings}, {"results", row.results}});
  }
  write_json(out / "table.json", json);
  write_file(out / "table.md", ablation_table(rows));
}

}  // namespace cavmae
