#include "cavmae/data/labels.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/text.h"
#include "cavmae/core/utf8.h"
#include "cavmae/data/csv.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kAmbiguous = -1;  // a display name of several classes
constexpr size_t kShown = 5;        // examples in a message

// "'a', 'b', 'c' and 7 more"
std::string some_of(const std::vector<std::string>& words) {
  std::string text;
  for (size_t i = 0; i < std::min(kShown, words.size()); ++i) text += (i == 0 ? "'" : ", '") + words[i] + "'";
  return words.size() > kShown ? concat(text, " and ", words.size() - kShown, " more") : text;
}

size_t column_of(const std::vector<std::string>& header, const char* name, const std::string& where) {
  const auto it = std::find(header.begin(), header.end(), name);
  CAVMAE_CHECK_AS(DataError, it != header.end(), where, ": has no column '", name,
                  "'; a label file begins with the line index,mid,display_name, this one with the columns ",
                  some_of(header));
  CAVMAE_CHECK_AS(DataError, std::find(it + 1, header.end(), name) == header.end(), where,
                  ": two columns are called '", name, "'; give each a name of its own");
  return it - header.begin();
}

int64_t read_index(const std::string& cell, const std::string& where) {
  int64_t index = -1;
  const auto [end, failure] = std::from_chars(cell.data(), cell.data() + cell.size(), index);
  CAVMAE_CHECK_AS(DataError, failure == std::errc() && end == cell.data() + cell.size() && index >= 0, where,
                  ": 'index' must be a whole number of at least 0, found '", cell, "'");
  return index;
}

struct ListedLabel {
  ClassLabel label;
  int64_t line = 0;
};

// By index, each index and each mid once.
std::map<int64_t, ListedLabel> read_rows(const fs::path& path) {
  const std::string where = path.string();
  auto rows = read_small_table(path);
  CAVMAE_CHECK_AS(DataError, !rows.empty(), where,
                  ": is empty; expected the columns index, mid, display_name");
  std::vector<std::string> header;
  for (const auto& cell : rows[0].cells) header.push_back(lower(cell));
  const size_t index = column_of(header, "index", where), mid = column_of(header, "mid", where),
               name = column_of(header, "display_name", where);
  std::map<int64_t, ListedLabel> labels;
  std::unordered_map<std::string, int64_t> line_of_mid;
  for (size_t r = 1; r < rows.size(); ++r) {
    auto& [line, cells] = rows[r];
    const std::string place = concat(where, ":", line);
    while (cells.size() > header.size() && cells.back().empty()) cells.pop_back();
    CAVMAE_CHECK_AS(DataError, cells.size() == header.size(), place, ": has ", cells.size(),
                    " cells where the header has ", header.size(),
                    "; put a cell that holds a comma in double quotes");
    for (const size_t column : {mid, name})
      CAVMAE_CHECK_AS(DataError, is_utf8(cells[column]), place, ": '", escape_invalid_utf8(cells[column]),
                      "' is no UTF-8 text; save the file as UTF-8 (iconv -f LATIN1 -t UTF-8 OLD > NEW)");
    const int64_t number = read_index(cells[index], place);
    const auto [at, is_new] =
        labels.emplace(number, ListedLabel{.label = {cells[mid], cells[name]}, .line = line});
    CAVMAE_CHECK_AS(DataError, is_new, place, ": index ", number, " was given before, in line ",
                    at->second.line, "; every class needs its own");
    const auto [before, new_mid] = line_of_mid.emplace(cells[mid], line);
    CAVMAE_CHECK_AS(DataError, new_mid, place, ": mid '", cells[mid], "' was given before, in line ",
                    before->second, "; every class needs its own");
  }
  return labels;
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos && trim(text) == text) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

// Labels that are no class, each with the clip that has it first.
[[noreturn]] void throw_unknown(const std::map<std::string, std::string>& clip_of_label, const LabelSet& set,
                                const std::string& where) {
  std::string text = concat(where, clip_of_label.size(),
                            clip_of_label.size() == 1 ? " label of the clips is" : " labels of the clips are",
                            " none of the ", set.size(), " classes of ", set.origin(), ":");
  size_t shown = 0;
  for (const auto& [label, clip] : clip_of_label) {
    if (++shown > kShown) break;
    const std::string near = set.nearest(label);
    text += concat("\n  - '", label, "' of clip '", clip, "'",
                   near.empty() ? "" : concat(" (did you mean '", near, "'?)"));
  }
  if (clip_of_label.size() > kShown) text += concat("\n  and ", clip_of_label.size() - kShown, " more");
  throw DataError(text + "\ncorrect the labels, or give the label file (--labels) that has them");
}

std::string beginning(const LabelRules& rules) {
  return rules.where.empty() ? "" : rules.where + ": ";
}

void check_rules(const ClipList& clips, const LabelSet& set, const LabelRules& rules,
                 const ClipClasses& classes) {
  const std::string where = beginning(rules);
  std::vector<bool> has_clip(set.size(), false);
  for (size_t i = 0; i < clips.size(); ++i) {
    CAVMAE_CHECK_AS(DataError, rules.labels_per_clip == LabelsPerClip::several || classes[i].size() == 1,
                    where, "clip '", clips.id(i), "' has ", classes[i].size(), " labels (",
                    some_of(clips.labels(i)), "), but the loss 'ce' takes one a clip; use --loss bce");
    for (const int64_t c : classes[i]) has_clip[c] = true;
  }
  std::vector<std::string> empty;
  for (int64_t c = 0; c < set.size(); ++c)
    if (!has_clip[c]) empty.push_back(set[c].display_name);
  CAVMAE_CHECK_AS(DataError, empty.empty() || rules.empty_classes == EmptyClasses::allowed, where,
                  empty.size(), " of the ", set.size(), " classes of ", set.origin(),
                  " have no clip: ", some_of(empty),
                  "; take them out of the label file, add clips, or go on with --allow-empty-classes");
}

}  // namespace

LabelSet::LabelSet(std::vector<ClassLabel> labels, std::string origin)
    : labels_(std::move(labels)), origin_(std::move(origin)) {
  for (int64_t i = 0; i < size(); ++i) {
    const auto& [mid, name] = labels_[i];
    CAVMAE_CHECK_AS(DataError, !mid.empty(), origin_, ": class ", i, " has no mid");
    CAVMAE_CHECK_AS(DataError, is_utf8(mid) && is_utf8(name), origin_, ": class ", i,
                    " has a name that is no UTF-8 text: '", escape_invalid_utf8(name), "'");
    const auto [before, is_new] = by_mid_.emplace(mid, i);
    CAVMAE_CHECK_AS(DataError, is_new, origin_, ": classes ", before->second, " and ", i,
                    " have the same mid '", mid, "'");
    const auto [same_name, new_name] = by_name_.emplace(name, i);
    if (!new_name) same_name->second = kAmbiguous;
  }
}

std::vector<std::string> LabelSet::display_names() const {
  std::vector<std::string> names;
  for (const ClassLabel& label : labels_) names.push_back(label.display_name);
  return names;
}

std::optional<int64_t> LabelSet::find(const std::string& label) const {
  if (const auto it = by_mid_.find(label); it != by_mid_.end()) return it->second;
  if (const auto it = by_name_.find(label); it != by_name_.end() && it->second != kAmbiguous)
    return it->second;
  return std::nullopt;
}

std::string LabelSet::nearest(const std::string& label) const {
  std::vector<std::string> words;
  for (const auto& [mid, index] : by_mid_) words.push_back(mid);
  for (const auto& [name, index] : by_name_)
    if (index != kAmbiguous) words.push_back(name);
  std::ranges::sort(words);
  return nearest_word(label, words);
}

LabelSet read_label_csv(const fs::path& path) {
  const auto rows = read_rows(path);
  std::vector<ClassLabel> labels;
  for (const auto& [index, row] : rows) {
    CAVMAE_CHECK_AS(DataError, index == static_cast<int64_t>(labels.size()), path.string(), ":", row.line,
                    ": index ", index, " follows although there is no index ", labels.size(),
                    "; indices must run from 0 without a gap");
    labels.push_back(row.label);
  }
  CAVMAE_CHECK_AS(DataError, !labels.empty(), path.string(), ": lists no classes");
  return {std::move(labels), path.string()};
}

void write_label_csv(const fs::path& path, const LabelSet& set) {
  std::string text = "index,mid,display_name\n";
  for (int64_t i = 0; i < set.size(); ++i)
    text += concat(i, ",", csv_cell(set[i].mid), ",", csv_cell(set[i].display_name), "\n");
  write_file(path, text);
}

LabelSet labels_of_clips(const ClipList& clips) {
  std::set<std::string> words;
  for (size_t i = 0; i < clips.size(); ++i) words.insert(clips.labels(i).begin(), clips.labels(i).end());
  CAVMAE_CHECK_AS(DataError, !words.empty(), "none of the ", clips.size(),
                  " clips has a label; give 'labels' in a manifest, a CSV or the authors' JSON");
  std::vector<ClassLabel> labels;
  for (const std::string& word : words) labels.push_back({.mid = word, .display_name = word});
  return {std::move(labels), "the clips' own labels"};
}

ClipClasses classes_of_clips(const ClipList& clips, const LabelSet& set, const LabelRules& rules) {
  const std::string where = beginning(rules);
  ClipClasses classes(clips.size());
  std::map<std::string, std::string> unknown;
  std::unordered_map<const std::vector<std::string>*, std::vector<int64_t>>
      known;  // clips share their lists of labels
  for (size_t i = 0; i < clips.size(); ++i) {
    const std::vector<std::string>& labels = clips.labels(i);
    CAVMAE_CHECK_AS(
        DataError, !labels.empty(), where, "clip '", clips.id(i),
        "' has no label; give 'labels' in a manifest, a CSV or the authors' JSON, or leave it out");
    const auto [found, is_new] = known.try_emplace(&labels);
    auto& [list, of_list] = *found;
    for (const std::string& label : is_new ? labels : std::vector<std::string>()) {
      if (const auto index = set.find(label)) {
        of_list.push_back(*index);
      } else {
        unknown.emplace(label, clips.id(i));
      }
    }
    std::ranges::sort(of_list);
    of_list.erase(std::unique(of_list.begin(), of_list.end()), of_list.end());
    classes[i] = of_list;
  }
  if (!unknown.empty()) throw_unknown(unknown, set, where);
  check_rules(clips, set, rules, classes);
  return classes;
}

void check_head_size(const LabelSet& set, int64_t head_size, const std::string& checkpoint) {
  CAVMAE_CHECK_AS(DataError, set.size() == head_size, set.origin(), " has ", set.size(), " classes, but ",
                  checkpoint, " has ", head_size, "; give the label file that it was trained with");
}

torch::Tensor multi_hot(const ClipClasses& classes, int64_t num_classes) {
  torch::Tensor out = torch::zeros({static_cast<int64_t>(classes.size()), num_classes});
  auto cells = out.accessor<float, 2>();
  for (size_t i = 0; i < classes.size(); ++i)
    for (const int64_t c : classes[i]) cells[static_cast<int64_t>(i)][c] = 1.0f;
  return out;
}

}  // namespace cavmae
