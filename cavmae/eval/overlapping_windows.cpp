#include "cavmae/eval/overlapping_windows.h"

#include <algorithm>
#include <string>
#include <unordered_map>

namespace cavmae {
namespace {

struct PlacedRow {
  double start_seconds;
  int64_t row;
};

void add_overlaps(std::vector<PlacedRow>& of_file, double window_seconds, LeftOutAnswers& out) {
  std::ranges::sort(of_file, {}, &PlacedRow::start_seconds);
  for (size_t i = 0; i < of_file.size(); ++i) {
    for (size_t j = i + 1; j < of_file.size(); ++j) {
      if (of_file[j].start_seconds - of_file[i].start_seconds >= window_seconds) break;
      out[of_file[i].row].push_back(of_file[j].row);
      out[of_file[j].row].push_back(of_file[i].row);
    }
  }
}

}  // namespace

LeftOutAnswers overlapping_windows(const ClipList& clips, const std::vector<int64_t>& indices,
                                   double window_seconds) {
  std::unordered_map<std::string, std::vector<PlacedRow>> files;
  for (size_t row = 0; row < indices.size(); ++row) {
    const ClipSource& clip = clips[indices[row]];
    if (!clip.start_seconds) continue;
    const PlacedRow placed{.start_seconds = *clip.start_seconds, .row = static_cast<int64_t>(row)};
    if (!clip.audio.empty()) files[clip.audio.identity()].push_back(placed);
    if (!clip.video.empty() && clip.video != clip.audio) files[clip.video.identity()].push_back(placed);
  }
  LeftOutAnswers out(indices.size());
  for (auto& [file, rows] : files) add_overlaps(rows, window_seconds, out);
  for (auto& rows : out) {
    std::ranges::sort(rows);
    rows.erase(std::ranges::unique(rows).begin(), rows.end());
  }
  return out;
}

}  // namespace cavmae
