#include "cavmae/models/model_description.h"

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/models/image_mae.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

HeadOptions head_of(const TensorFile& contents, const torch::Tensor& weight, const fs::path& file) {
  HeadOptions head;
  const Json stated = metadata_json(contents, "classifier", file);
  if (!stated.is_null()) option_from_json(stated, head, file.string() + ": metadata 'classifier'");
  CAVMAE_CHECK_AS(CheckpointError, weight.dim() == 2, file.string(), ": tensor '", kHeadWeight,
                  "' has the shape ", weight.sizes(), "; it should have 2 dimensions");
  CAVMAE_CHECK_AS(CheckpointError, stated.is_null() || head.num_classes == weight.size(0), file.string(),
                  ": its metadata say ", head.num_classes, " classes, but the head has ", weight.size(0));
  head.num_classes = weight.size(0);
  return head;
}

}  // namespace

ModelDescription describe_model(const TensorFile& contents, const fs::path& file,
                                const InferenceHints& hints) {
  ModelDescription out;
  out.path = file;
  out.spec = stated_input(contents, file);
  out.states_exif = states_exif(contents, file);
  if (const auto stated = stated_config(contents, file)) {
    out.config = *stated;
  } else {
    CAVMAE_CHECK_AS(
        CheckpointError, !is_image_mae(contents.tensors), file.string(),
        ": is an image MAE, which takes no audio; make a CAV-MAE of it with 'cavmae pretrain --init' or 'cavmae finetune --init'");
    out.config = infer_config(contents.tensors, hints, file.string());
  }
  if (const torch::Tensor* weight = contents.find(kHeadWeight)) out.head = head_of(contents, *weight, file);
  if (const Json labels = metadata_json(contents, "labels", file); !labels.is_null())
    out.labels = class_labels_from_json(labels, file.string());
  return out;
}

}  // namespace cavmae
