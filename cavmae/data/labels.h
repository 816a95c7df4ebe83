// The classes of a classifier, and those that each clip belongs to. A LabelSet is immutable;
// free functions; safe from any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cavmae/core/class_label.h"
#include "cavmae/core/torch.h"
#include "cavmae/data/clip_list.h"

namespace cavmae {

class LabelSet {
 public:
  LabelSet() = default;
  // `origin` names the set in errors. Throws DataError for a mid that is empty or given twice, and for text
  // that is no UTF-8.
  LabelSet(std::vector<ClassLabel> labels, std::string origin);

  int64_t size() const { return static_cast<int64_t>(labels_.size()); }  // C
  const ClassLabel& operator[](int64_t index) const { return labels_.at(index); }
  const std::vector<ClassLabel>& labels() const { return labels_; }
  const std::string& origin() const { return origin_; }
  std::vector<std::string> display_names() const;  // [C]

  // The class whose mid, or else whose display name, this is. A display name of several classes finds none.
  std::optional<int64_t> find(const std::string& label) const;
  // The mid or display name that is nearest to `label`; "" when none is near.
  std::string nearest(const std::string& label) const;

 private:
  std::vector<ClassLabel> labels_;
  std::string origin_;
  std::unordered_map<std::string, int64_t> by_mid_, by_name_;
};

// The authors' label file: a table with the columns index, mid and display_name. Throws DataError naming file
// and line: a column that is missing, an index or mid given twice, indices with a gap, text that is no UTF-8.
LabelSet read_label_csv(const std::filesystem::path& path);
void write_label_csv(const std::filesystem::path& path, const LabelSet& set);

// Where there is no label file: every label of the clips, sorted; mid and display name are the label.
LabelSet labels_of_clips(const ClipList& clips);

enum class LabelsPerClip { several, one };       // one: what cross-entropy needs
enum class EmptyClasses { forbidden, allowed };  // allowed: evaluation, or a subset that lacks some
struct LabelRules {
  LabelsPerClip labels_per_clip = LabelsPerClip::several;
  EmptyClasses empty_classes = EmptyClasses::forbidden;
  std::string where = "";  // begins each message: the flag that names these clips
};

using ClipClasses = std::vector<std::vector<int64_t>>;  // of each clip, ascending, without repetition

// Throws DataError that says what breaks the rules and how to mend it: a clip without a label, a label that
// is no class (with the nearest), several labels where one is allowed, a class without a clip.
ClipClasses classes_of_clips(const ClipList& clips, const LabelSet& set, const LabelRules& rules);

// Throws DataError naming both sizes when a classifier's head has not one output a class. `checkpoint` names
// the model in the message.
void check_head_size(const LabelSet& set, int64_t head_size, const std::string& checkpoint);

// float [B, C], 1 at each clip's classes.
torch::Tensor multi_hot(const ClipClasses& classes, int64_t num_classes);

}  // namespace cavmae
