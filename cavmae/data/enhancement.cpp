#include "cavmae/data/enhancement.h"

#include <algorithm>
#include <cmath>

#include "cavmae/core/error.h"
#include "cavmae/core/json.h"
#include "cavmae/core/json_text.h"
#include "cavmae/core/number_text.h"
#include "cavmae/core/text.h"
#include "cavmae/core/utf8.h"
#include "cavmae/data/csv.h"
#include "cavmae/data/manifest.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

Json parse_file(const fs::path& path) {
  try {
    return parse_json(read_list_text(path), path.string());
  } catch (const ConfigError& e) {
    throw DataError(e.what());
  }
}

std::string shown(const Json& json) {
  constexpr size_t kLongest = 80;
  const std::string text = to_text(json);
  return text.size() <= kLongest ? text : text.substr(0, kLongest) + "...";
}

// "'wav', 'lable'"; "none" when it is empty.
std::string key_list(const Json& object) {
  std::string text;
  for (const auto& [key, value] : object.items()) text += (text.empty() ? "'" : ", '") + key + "'";
  return text.empty() ? "none" : text;
}

// The text under the first of `keys` that `entry` has.
std::string text_under(const Json& entry, const std::vector<const char*>& keys, const std::string& where) {
  CAVMAE_CHECK_AS(DataError, entry.is_object(), where, ": expected an object, found ", shown(entry));
  for (const char* key : keys)
    if (entry.contains(key) && entry[key].is_string()) return entry[key].get<std::string>();
  throw DataError(concat(where, ": has no text under '", keys[0], "', its keys are ", key_list(entry)));
}

const Json& list_under(const Json& entry, const char* key, const std::string& where) {
  CAVMAE_CHECK_AS(DataError, entry.is_object() && entry.contains(key) && entry[key].is_array(), where,
                  ": expected an object with a list '", key, "', found ", shown(entry));
  return entry[key];
}

class ScoreCollector {
 public:
  explicit ScoreCollector(const LabelSet& set) : set_(set) {}

  void add(const std::string& clip, const std::string& label, double score, const std::string& where) {
    const auto index = set_.find(label);
    CAVMAE_CHECK_AS(DataError, index.has_value(), where, ": '", label, "' is none of the ", set_.size(),
                    " classes of ", set_.origin(), "; give the label file of the teacher");
    CAVMAE_CHECK_AS(DataError, std::isfinite(score), where, ": a score must be a finite number");
    // As clips are named.
    const bool is_new = scores_[escape_invalid_utf8(clip)].emplace(*index, score).second;
    CAVMAE_CHECK_AS(DataError, is_new, where, ": '", label, "' of clip '", printable(clip),
                    "' was scored before; give one score a clip and class");
  }
  TeacherScores take() { return std::move(scores_); }

 private:
  const LabelSet& set_;
  TeacherScores scores_;
};

size_t column_among(const CsvRow& header, const std::vector<std::string>& names, const std::string& where) {
  for (const std::string& name : names)
    for (size_t i = 0; i < header.cells.size(); ++i)
      if (lower(header.cells[i]) == name) return i;
  throw DataError(
      concat(where, ": has no column '", names[0], "'; a teacher's scores have the columns id,label,score"));
}

double to_number(const std::string& cell, const std::string& where) {
  const auto number = parse_number(cell);
  CAVMAE_CHECK_AS(DataError, number.has_value(), where, ": 'score' must be a number, found '",
                  printable(cell), "'");
  return *number;
}

void read_score_csv(const fs::path& path, ScoreCollector& scores) {
  const auto rows = read_small_table(path);
  CAVMAE_CHECK_AS(DataError, !rows.empty(), path.string(), ": is empty; expected the columns id,label,score");
  const size_t id = column_among(rows[0], {"id"}, path.string()),
               label = column_among(rows[0], {"label", "mid"}, path.string()),
               score = column_among(rows[0], {"score"}, path.string());
  for (size_t r = 1; r < rows.size(); ++r) {
    const auto& [line, cells] = rows[r];
    const std::string where = concat(path.string(), ":", line);
    CAVMAE_CHECK_AS(DataError, cells.size() == rows[0].cells.size(), where, ": has ", cells.size(),
                    " cells where the header has ", rows[0].cells.size());
    scores.add(cells[id], cells[label], to_number(cells[score], where), where);
  }
}

void read_score_json(const fs::path& path, ScoreCollector& scores) {
  const Json json = parse_file(path);
  const Json& clips = list_under(json, "clips", path.string());
  for (size_t i = 0; i < clips.size(); ++i) {
    const std::string where = concat(path.string(), ": clips[", i, "]");
    const std::string id = text_under(clips[i], {"id"}, where);
    for (const Json& entry : list_under(clips[i], "labels", where)) {
      const std::string label = text_under(entry, {"mid", "label"}, where);
      CAVMAE_CHECK_AS(DataError, entry.contains("score") && entry["score"].is_number(), where, ": '", label,
                      "' has no number under 'score'");
      scores.add(id, label, entry["score"].get<double>(), where);
    }
  }
}

// Of each class: the mean score over the clips that have it.
std::map<int64_t, double> mean_scores(const ClipList& clips, const ClipClasses& classes,
                                      const TeacherScores& teacher) {
  std::map<int64_t, double> sums;
  std::map<int64_t, int64_t> counts;
  for (size_t i = 0; i < clips.size(); ++i) {
    const auto scores = teacher.find(std::string(clips.id(i)));
    if (scores == teacher.end()) continue;
    for (const int64_t c : classes[i]) {
      const auto score = scores->second.find(c);
      if (score == scores->second.end()) continue;
      sums[c] += score->second;
      ++counts[c];
    }
  }
  for (auto& [c, sum] : sums) sum /= static_cast<double>(counts[c]);
  return sums;
}

class Enhancer {
 public:
  Enhancer(const LabelSet& set, const EnhancementSources& sources, std::map<int64_t, double> means)
      : sources_(sources), means_(std::move(means)) {
    if (!sources.taxonomy) return;
    above_.resize(set.size());
    for (int64_t c = 0; c < set.size(); ++c)
      for (const std::string& id : sources.taxonomy->above(set[c].mid))
        if (const auto index = set.find(id)) above_[c].push_back(*index);
  }

  // Adds to `classes`; returns how many.
  int64_t add_teachers(const std::string& clip, std::set<int64_t>& classes) const {
    const auto scores = sources_.teacher.find(clip);
    if (scores == sources_.teacher.end()) return 0;
    int64_t added = 0;
    for (const auto& [c, score] : scores->second) {
      const auto mean = means_.find(c);
      const bool is_high =
          sources_.threshold ? score >= *sources_.threshold : mean != means_.end() && score >= mean->second;
      if (is_high) added += classes.insert(c).second;
    }
    return added;
  }
  int64_t add_above(std::set<int64_t>& classes) const {
    if (above_.empty()) return 0;
    int64_t added = 0;
    for (const int64_t c : std::vector<int64_t>(classes.begin(), classes.end()))
      for (const int64_t parent : above_[c]) added += classes.insert(parent).second;
    return added;
  }

 private:
  const EnhancementSources& sources_;
  std::map<int64_t, double> means_;
  std::vector<std::vector<int64_t>> above_;  // of each class
};

}  // namespace

Taxonomy Taxonomy::read(const fs::path& path) {
  const Json json = parse_file(path);
  CAVMAE_CHECK_AS(DataError, json.is_array(), path.string(),
                  ": expected a list of {\"id\", \"name\", \"child_ids\"}, found ", shown(json));
  Taxonomy taxonomy;
  for (size_t i = 0; i < json.size(); ++i) {
    const std::string where = concat(path.string(), ": [", i, "]"), id = text_under(json[i], {"id"}, where);
    ++taxonomy.num_classes_;
    if (!json[i].contains("child_ids")) continue;
    for (const Json& child : list_under(json[i], "child_ids", where)) {
      CAVMAE_CHECK_AS(DataError, child.is_string(), where, ": 'child_ids' must hold ids, found ",
                      shown(child));
      taxonomy.parents_[child.get<std::string>()].push_back(id);
    }
  }
  CAVMAE_CHECK_AS(DataError, !taxonomy.parents_.empty(), path.string(), ": none of its ", json.size(),
                  " entries has a child under 'child_ids', so nothing stands above anything");
  return taxonomy;
}

std::set<std::string> Taxonomy::above(const std::string& id) const {
  std::set<std::string> found;
  std::vector<std::string> open = {id};
  while (!open.empty()) {
    const auto parents = parents_.find(open.back());
    open.pop_back();
    if (parents == parents_.end()) continue;
    for (const std::string& parent : parents->second)
      if (parent != id && found.insert(parent).second) open.push_back(parent);
  }
  return found;
}

bool Taxonomy::joins_any_of(const LabelSet& set) const {
  for (int64_t c = 0; c < set.size(); ++c)
    if (std::ranges::any_of(above(set[c].mid), [&](const auto& id) { return set.find(id).has_value(); }))
      return true;
  return false;
}

TeacherScores read_teacher_scores(const fs::path& path, const LabelSet& set) {
  ScoreCollector scores(set);
  if (lower(path.extension().string()) == ".json") {
    read_score_json(path, scores);
  } else {
    read_score_csv(path, scores);
  }
  return scores.take();
}

Enhancement enhance_labels(const ClipList& clips, const ClipClasses& classes, const LabelSet& set,
                           const EnhancementSources& sources) {
  const Enhancer enhancer(set, sources, mean_scores(clips, classes, sources.teacher));
  Enhancement out;
  for (size_t i = 0; i < clips.size(); ++i) {
    std::set<int64_t> all(classes[i].begin(), classes[i].end());
    const int64_t by_teacher = enhancer.add_teachers(std::string(clips.id(i)), all),
                  above = enhancer.add_above(all);
    out.from_teacher += by_teacher;
    out.from_taxonomy += above;
    out.clips_changed += by_teacher + above > 0;
    out.classes.emplace_back(all.begin(), all.end());
  }
  return out;
}

}  // namespace cavmae
