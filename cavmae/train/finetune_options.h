// Everything that decides a fine-tuning run, declared once: the configuration file, the flags and the copy in
// the run's folder derive from it.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "cavmae/data/targets.h"
#include "cavmae/losses/classification.h"
#include "cavmae/models/classifier.h"
#include "cavmae/models/infer_config.h"
#include "cavmae/train/run_options.h"

namespace cavmae {

struct FinetuneOptions : RunOptions {
  std::filesystem::path labels;
  bool allow_empty_classes = false;
  Modalities mode = Modalities::both;
  Representation representation = Representation::joint;
  ClassificationLoss loss = ClassificationLoss::bce;
  TargetOptions targets;
  bool balanced_sampling = false;
  std::filesystem::path sample_weights;
  double head_lr_scale = 50.0;
  bool freeze_encoder = false;
  FrameChoice validation_frames = FrameChoice::middle;
  FrameChoice final_frames = FrameChoice::all;
  HeadKind head_kind = HeadKind::linear;
  CavMaeConfig model;

  FinetuneOptions();

  // Files of before these fields do not have them.
  static constexpr const char* kAbsentByDefault[] = {"head_kind", "overlap"};

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    RunOptions::visit(o, v);
    v("labels", o.labels,
      "the classes: a CSV with the columns index, mid, display_name (empty: the clips' labels)");
    v("allow_empty_classes", o.allow_empty_classes,
      "accept classes that no clip of the training data belongs to");
    v("mode", o.mode, "what the classifier is given");
    v("representation", o.representation,
      "what of the encoders' outputs is classified: the multi-modal stream, its sum with the uni-modal ones, or "
      "the mean of the uni-modal ones' global tokens");
    v("loss", o.loss, "bce: classes by themselves, several labels a clip; ce: one label a clip");
    v("targets", o.targets, "mixing clips and smoothing labels");
    v("balanced_sampling", o.balanced_sampling,
      "draw clips with replacement, those of rare classes more often, instead of each once an epoch");
    v("sample_weights", o.sample_weights,
      "how often each clip is drawn, a number a line ('cavmae weights'; empty: by the clips' labels)");
    v("head_lr_scale", o.head_lr_scale, "learning rate of the new head over that of the encoders");
    v("freeze_encoder", o.freeze_encoder, "train the head alone: a linear probe");
    v("validation_frames", o.validation_frames, "pictures of a clip in the validations while training");
    v("final_frames", o.final_frames,
      "pictures of a clip in the evaluation at the end (all: scores are averaged)");
    v("model", o.model, "shape of the network: that of --init");
    v("head_kind", o.head_kind,
      "the head: linear, a picture by itself, or self_attention over all of a clip's (with --frames all and "
      "--validation-frames all)");
  }
  // One ConfigError listing every bad field.
  void validate() const;

  HeadOptions head(int64_t num_classes) const;

  // Whether nothing random reaches the network's inputs. Smoothing changes targets alone.
  bool inputs_are_deterministic() const { return view.is_deterministic() && targets.mixup == 0; }

 private:
  void check_frames_of_head(Problems& problems) const;
};

// The defaults of a run that begins with a checkpoint: its network's shape and the features it was trained
// on; where it says nothing of EXIF orientation, the new run obeys it. The number of classes is that of the
// labels, not the checkpoint's. `given`: the options that the run
// sets itself, with their values. Throws ConfigError naming what neither they nor the checkpoint say (Note
// [What a .pth cannot say]).
struct GivenOptions {
  std::set<std::string> names = {};
  InferenceHints hints = {};
  std::string network = {};  // RunOptions::network
};
struct FinetuneDefaults {
  FinetuneOptions options;
  std::vector<UnstatedOption> assumed;  // what is taken to be as in the authors' models
};
FinetuneDefaults finetune_defaults(const std::filesystem::path& init, const GivenOptions& given = {});

}  // namespace cavmae
