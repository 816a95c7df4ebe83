// The teacher of pretraining: a moving average of the network, whose attention tells which patches the
// contrastive loss's pass keeps (TG-DP, CVPR 2026). Its weights, their schedule and the distillation are
// ours, since that release has none of them. One owner.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "cavmae/losses/contrastive.h"
#include "cavmae/models/cav_mae.h"
#include "cavmae/nn/ranked_masking.h"
#include "cavmae/tensorfile/safetensors.h"
#include "cavmae/train/step_result.h"
#include "cavmae/train/task.h"

namespace cavmae {

struct TeacherOptions {
  std::optional<double> ema_decay = std::nullopt;  // nothing: no teacher
  Ranking ranking = Ranking::sampled;
  double ranking_temperature = 1.0;
  std::optional<int64_t> ranking_from_step = std::nullopt;  // nothing: the end of the warm-up
  double distillation_weight = 0.1;

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("ema_decay", o.ema_decay,
      "share of itself that the teacher keeps in the first step; it rises to 1 by a cosine ('none': no teacher)");
    v("ranking", o.ranking, "which patches the contrastive loss's pass keeps: the teacher's best, or drawn");
    v("ranking_temperature", o.ranking_temperature,
      "temperature of drawn patches, of scores scaled to a deviation of 1");
    v("ranking_from_step", o.ranking_from_step,
      "first step whose patches the teacher ranks ('none': when the warm-up is done)");
    v("distillation_weight", o.distillation_weight,
      "weight of the cosine distance between the network's global tokens and the teacher's");
  }

  bool wanted() const { return ema_decay.has_value(); }
  // One ConfigError listing every bad field.
  void validate() const;
};

class Teacher {
 public:
  // `first_ranked_step`: what ranking_from_step is, resolved.
  Teacher(const TeacherOptions& options, int64_t first_ranked_step);

  // What the teacher makes of a batch with nothing masked, as far as this step needs it: its attention where
  // ranks(), its global tokens for a distillation. It begins as a copy of the network.
  void look(CavMae& network, const Inputs& inputs);

  // Whether it ranks the patches of this step.
  bool ranks() const { return steps_ >= first_ranked_step_; }
  // Of the batch that it looked at: the patches that rank highest are kept. Random numbers come from
  // `generator`, audio's first, and are drawn for the whole batch that the clips are part of.
  Masks masks(double ratio, torch::Generator generator, const RowsOfBatch& place = {}) const;
  // Where this rank has none of a batch's clips: begins as look() does, and draws what masks() would.
  void pass_over(CavMae& network, int64_t batch, torch::Generator generator);

  // Adds the term "distillation": the mean over clips and modalities of 1 - cos(network, teacher), of the
  // global tokens.
  void add_distillation(StepResult& result, const Latents& latents) const;

  // teacher = m * teacher + (1 - m) * network, with m = 1 - (1 - ema_decay) * (1 + cos(pi * done / total))
  // / 2.
  void follow(CavMae& network, const StepCount& steps);

  // Its parameters by the network's names and `steps` (int64 []); empty before it looked at a batch.
  NamedTensors state() const;
  // `network`: one of the same shape.
  void load_state(CavMae& network, const TensorFile& file);

 private:
  void begin(CavMae& network);

  TeacherOptions options_;
  int64_t first_ranked_step_;
  int64_t steps_ = 0;  // that it followed
  CavMae network_{nullptr};
  GlobalAttention seen_;
};

}  // namespace cavmae
