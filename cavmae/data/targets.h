// What clips are trained to be called: their classes as soft targets, smoothed, and mixed where two clips
// are. Free functions; safe from several threads.
#pragma once

#include <cstdint>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/data/clip_reader.h"
#include "cavmae/data/labels.h"

namespace cavmae {

struct TargetOptions {
  double mixup = 0.0;
  double mixup_alpha = 10.0;
  double label_smoothing = 0.0;

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("mixup", o.mixup, "share of the clips that are mixed with another one: audio, video and labels");
    v("mixup_alpha", o.mixup_alpha, "the first clip's part in a mix is drawn from Beta(alpha, alpha)");
    v("label_smoothing", o.label_smoothing,
      "part of a target that is taken from the labels and spread evenly");
  }
  // One ConfigError listing every bad field.
  void validate() const;
};

// The labels of a data set, as a Loader gives them beside its clips.
struct Supervision {
  ClipClasses classes;               // of each clip
  int64_t num_classes = 0;           // C
  std::vector<double> weights = {};  // of each clip, to draw with replacement; empty: each once an epoch
  TargetOptions options = {};
};

// A clip's part in a target.
struct TargetPart {
  const std::vector<int64_t>& classes;
  double share = 1.0;
};

// float [C], the authors' figures: smoothing / C everywhere. A clip alone (one part) has 1 - smoothing at its
// classes; mixed clips add share * (1 - smoothing) at theirs.
torch::Tensor soft_target(const std::vector<TargetPart>& parts, int64_t num_classes, double smoothing);

// Everything that a labelled clip is read from. What it refers to must outlive it.
struct LabelledClips {
  ClipList clips;
  const Supervision& supervision;
  const ClipReader& reader;
  ViewOptions view;
  Need need = Need::both;
};

// Clip `index` with its target, mixed with another one as often as the options say. What is random depends on
// `seed` alone; the second clip is any of the data set, and one that cannot be read gives way to the next
// drawn. Throws MediaError when the clip itself cannot be read.
Sample read_labelled(const LabelledClips& from, int64_t index, uint64_t seed);

}  // namespace cavmae
