#include "cavmae/train/pretrain_options.h"

#include "cavmae/models/model_input.h"

namespace cavmae {

void PretrainOptions::validate() const {
  Problems problems;
  collect(problems, [&] { model.validate(); });
  collect(problems, [&] { input_spec(model, data).validate(); });
  collect(problems, [&] { mask.validate(); });
  problems.require(
      mask.mask_ratio_audio != 1 && mask.mask_ratio_video != 1,
      "a mask ratio of 1 hides a modality wholly; training needs something of each to be visible");
  collect(problems, [&] { objective.validate(); });
  collect_problems(problems, *this);
  const BestMetric best = checkpoint.best_metric;
  problems.require(best == BestMetric::retrieval || best == BestMetric::loss, "best_metric is ",
                   enum_name(best), ", pretraining knows retrieval and loss");
  problems.throw_if_any("the training options do not fit");
}

}  // namespace cavmae
