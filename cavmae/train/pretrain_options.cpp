#include "cavmae/train/pretrain_options.h"

#include "cavmae/models/model_input.h"

namespace cavmae {

void PretrainOptions::validate() const {
  Problems problems;
  collect(problems, [&] { model.validate(); });
  collect(problems, [&] { input_spec(model, data).validate(); });
  collect(problems, [&] { mask.validate(); });
  problems.require(
      data.alignment == Alignment::clip || !view.roll,
      "roll is true, which would move the sound away from its picture; with alignment picture give "
      "--roll false");
  problems.require(
      mask.mask_ratio_audio != 1 && mask.mask_ratio_video != 1,
      "a mask ratio of 1 hides a modality wholly; training needs something of each to be visible");
  collect(problems, [&] { objective.validate(); });
  collect(problems, [&] { teacher.validate(); });
  problems.require(!teacher.wanted() || (model.global_tokens && objective.contrastive_mask_ratio),
                   "ema_decay asks for a teacher, which needs global_tokens and contrastive_mask_ratio");
  problems.require(!teacher.wanted() || objective.contrastive_weight > 0,
                   "ema_decay asks for a teacher, which serves the contrastive loss alone, but "
                   "contrastive_weight is ",
                   objective.contrastive_weight, "; make it larger, or give --ema-decay none");
  problems.require(
      !teacher.wanted() || model.contrastive_pooling != ContrastivePooling::mean,
      "ema_decay asks for a teacher, which ranks and teaches by the global tokens, and contrastive_pooling "
      "is mean, which leaves them out of the contrastive loss; make it global or both");
  const bool contrasts = model.modalities == Modalities::both && objective.contrastive_weight > 0;
  problems.require(!objective.contrastive_mask_ratio || contrasts, "contrastive_mask_ratio is ",
                   objective.contrastive_mask_ratio.value_or(0),
                   ", a pass for the contrastive loss, which this network has not (",
                   model.modalities == Modalities::both ? "contrastive_weight is 0" : "it takes one modality",
                   "); give --contrastive-mask-ratio none");
  problems.require(view.frames != FrameChoice::all,
                   "frames is 'all', pretraining looks at one picture of a clip: 'random' or 'middle'");
  collect_problems(problems, *this);
  const BestMetric best = checkpoint.best_metric;
  problems.require(best == BestMetric::retrieval || best == BestMetric::loss, "best_metric is ",
                   enum_name(best), ", pretraining knows retrieval and loss");
  problems.throw_if_any("the training options do not fit");
}

}  // namespace cavmae
