// Classifier: a network without decoder and a linear head on its pooled output, as Gong et al., ICLR 2023,
// section 4.1, fine-tune it. It knows no loss. A module: forward calls from several threads are safe while
// nobody changes its parameters.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cavmae/models/cav_mae.h"
#include "cavmae/nn/layer_norm.h"
#include "cavmae/nn/linear.h"

namespace cavmae {

// What of the encoders' outputs a clip with sound and picture is represented by (the paper's section 2.3).
enum class Representation {
  joint,  // the multi-modal stream alone
  sum,    // the sum of the multi-modal and both uni-modal streams
};
inline std::vector<std::pair<Representation, std::string>> option_names(Representation) {
  return {{Representation::joint, "joint"}, {Representation::sum, "sum"}};
}

// What its logits mean: each class by itself (trained with BCE), or one distribution over them (CE).
enum class ScoreKind { sigmoid, softmax };
inline std::vector<std::pair<ScoreKind, std::string>> option_names(ScoreKind) {
  return {{ScoreKind::sigmoid, "sigmoid"}, {ScoreKind::softmax, "softmax"}};
}

struct HeadOptions {
  int64_t num_classes = 527;           // C
  Modalities mode = Modalities::both;  // the modalities that the classifier takes
  Representation representation = Representation::joint;
  ScoreKind scores = ScoreKind::sigmoid;

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("num_classes", o.num_classes, "number of classes");
    v("mode", o.mode, "what the classifier is given");
    v("representation", o.representation,
      "what of the encoders' outputs is classified: the multi-modal stream, or its sum with the uni-modal ones");
    v("scores", o.scores, "what the outputs mean: sigmoid (trained with bce) or softmax (ce)");
  }
};

class ClassifierImpl : public CavMaeImpl {
 public:
  // `encoder` without its decoder. Throws ConfigError when the network lacks what the mode needs.
  ClassifierImpl(const CavMaeConfig& encoder, const HeadOptions& head);

  const HeadOptions& head_options() const { return head_options_; }

  // Note [Pooled output]: the mean over the tokens, of the multi-modal stream with mode both and of the
  // uni-modal stream with mode audio or video; where the network lacks such a stream, of what it has. When
  // mode is both and one modality is missing, what is there goes through the joint layers twice, as the
  // multi-modal and as a uni-modal stream, and the two outputs are averaged. `inputs` of a modality that the
  // mode leaves out are ignored. Several pictures a clip as in CavMaeImpl::encode(). -> float [B, D], or [B *
  // K, D]
  torch::Tensor pooled(const Inputs& inputs);

  // LayerNorm and linear layer: float [.., D] -> logits float [.., C]
  torch::Tensor classify(const torch::Tensor& pooled);

  // Logits, float [B, C].
  torch::Tensor forward(const Inputs& inputs) { return classify(pooled(inputs)); }

  // Logits of each of a clip's pictures: video float [B, K, 3, S, S] -> float [B, K, C]. A mode or a clip
  // without pictures has K = 1.
  torch::Tensor classify_frames(const Inputs& inputs);

  // The head's parameters, by the names of the authors' checkpoints (mlp_head.0.weight, ...).
  std::vector<std::string> head_parameter_names() const;

 private:
  HeadOptions head_options_;
  LayerNorm head_norm_{nullptr};
  Linear head_linear_{nullptr};
};
TORCH_MODULE(Classifier);

// The classifier as a network like any other: the same parameters, the head's among them.
CavMae as_network(const Classifier& classifier);

// Throws ConfigError unless a network of this shape can be fine-tuned so.
void validate(const CavMaeConfig& encoder, const HeadOptions& head);

}  // namespace cavmae
