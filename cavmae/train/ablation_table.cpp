#include "cavmae/train/ablation_table.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "cavmae/core/files.h"

namespace cavmae {
namespace {

enum class Shown { number, percent };

struct Figure {
  const char* key;  // in AblationRow::results
  const char* title;
  Shown shown;
};

constexpr std::array kFigures = {
    Figure{"loss_audio", "audio loss", Shown::number},
    Figure{"loss_video", "video loss", Shown::number},
    Figure{"loss_contrastive", "contrastive loss", Shown::number},
    Figure{"accuracy", "contrastive accuracy", Shown::percent},
    Figure{"audio_to_video_r1", "A→V R@1", Shown::percent},
    Figure{"audio_to_video_r5", "A→V R@5", Shown::percent},
    Figure{"audio_to_video_r10", "A→V R@10", Shown::percent},
    Figure{"video_to_audio_r1", "V→A R@1", Shown::percent},
    Figure{"video_to_audio_r5", "V→A R@5", Shown::percent},
    Figure{"video_to_audio_r10", "V→A R@10", Shown::percent},
    Figure{"probe_map", "linear probe mAP", Shown::percent},
};

std::string show(const Figure& figure, const Json& results) {
  // A mean over no class at all is not a number, and null once it was written.
  if (!results.contains(figure.key) || !results.at(figure.key).is_number()) return "-";
  const double value = results.at(figure.key).get<double>();
  if (!std::isfinite(value)) return "-";
  switch (figure.shown) {
    case Shown::percent:
      return fmt::format("{:.1f} %", 100 * value);
    case Shown::number:
      break;
  }
  return fmt::format("{:.4f}", value);
}

std::string line(const std::vector<std::string>& cells) {
  std::string out = "|";
  for (const std::string& cell : cells) out += " " + cell + " |";
  return out + "\n";
}

}  // namespace

std::string ablation_table(const std::vector<AblationRow>& rows) {
  if (rows.empty()) return "";
  std::vector<const Figure*> figures;
  for (const Figure& figure : kFigures)
    if (std::any_of(rows.begin(), rows.end(),
                    [&](const AblationRow& row) { return row.results.contains(figure.key); }))
      figures.push_back(&figure);
  std::vector<std::string> titles, rule;
  for (const auto& [option, value] : rows.front().cell.settings) titles.push_back(option);
  rule.assign(titles.size(), "---");
  for (const Figure* figure : figures) {
    titles.emplace_back(figure->title);
    rule.emplace_back("---:");
  }
  std::string out = line(titles) + line(rule);
  for (const AblationRow& row : rows) {
    std::vector<std::string> cells;
    for (const auto& [option, value] : row.cell.settings) cells.push_back(value);
    for (const Figure* figure : figures) cells.push_back(show(*figure, row.results));
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
