// Label enhancement (Gong et al., PSLA, 2021): labels that a clip should have had, because a taxonomy says
// that what it has is a kind of them, or because a teacher scores them high. Free functions; safe from any
// thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "cavmae/data/labels.h"

namespace cavmae {

// Classes above one another, in AudioSet's form. Immutable.
class Taxonomy {
 public:
  // A list of {"id", "child_ids"}; other keys are passed over. Throws DataError naming the file and the
  // entry.
  static Taxonomy read(const std::filesystem::path& path);

  // Every class above `id`, however far; none when it is not known.
  std::set<std::string> above(const std::string& id) const;
  // Whether a class of `set` stands above another one of it.
  bool joins_any_of(const LabelSet& set) const;
  int64_t size() const { return num_classes_; }

 private:
  int64_t num_classes_ = 0;
  std::unordered_map<std::string, std::vector<std::string>> parents_;
};

// A teacher's scores: by clip id, then by class.
using TeacherScores = std::unordered_map<std::string, std::map<int64_t, double>>;

// A .csv with the columns id, label and score, or a .json as 'cavmae classify --json' writes: {"clips":
// [{"id", "labels": [{"label" or "mid", "score"}]}]}. Throws DataError naming file and place; so does a label
// that is no class.
TeacherScores read_teacher_scores(const std::filesystem::path& path, const LabelSet& set);

struct EnhancementSources {
  std::optional<Taxonomy> taxonomy;
  TeacherScores teacher;
  // From which score on a teacher's class is added. None: PSLA's choice, for each class the teacher's mean
  // score over the clips that have the label; a class that no clip with scores has is never added.
  std::optional<double> threshold;
};

struct Enhancement {
  ClipClasses classes;
  int64_t from_taxonomy = 0, from_teacher = 0;  // labels added
  int64_t clips_changed = 0;
};

// The teacher's classes first, then what stands above all that a clip has then. Taxonomy and set meet by mid.
Enhancement enhance_labels(const ClipList& clips, const ClipClasses& classes, const LabelSet& set,
                           const EnhancementSources& sources);

}  // namespace cavmae
