// A classifier's scores under the names of its classes. Free functions; safe from several threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/data/labels.h"
#include "cavmae/eval/classify.h"
#include "cavmae/models/pretrained.h"

namespace cavmae {

// The classes of a classifier: those of `label_file`, or where it is empty those that the classifier's file
// states. Throws CheckpointError when it states none, DataError when their number is not the head's.
LabelSet labels_of(const Pretrained& model, const std::filesystem::path& label_file = {});

struct ScoredClass {
  int64_t index = 0;  // of the class
  ClassLabel label;
  float score = 0;  // 0 to 1
};

// Every class, best first; equal scores in the order of the classes. scores: float [C]
std::vector<ScoredClass> rank_classes(const torch::Tensor& scores, const LabelSet& labels);

// "audio only" or "video only" of a clip of which a classifier of both was given one, or "". `clip`: a
// position in the list of clips.
std::string missing_modality(const ClipScores& scores, int64_t clip);

// What 'cavmae classify --json' writes: each clip with every class, and what failed. A window has the fields
// `file` and `start_seconds`.
Json to_json(const ClipScores& scores, const LabelSet& labels, const ClipList& clips);
// The same as text, indented, clip by clip: the windows of long files times hundreds of classes are many.
void write_scores(std::ostream& out, const ClipScores& scores, const LabelSet& labels, const ClipList& clips);

}  // namespace cavmae
