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
#include "cavmae/nn/transformer_block.h"

namespace cavmae {

// What of the encoders' outputs a clip with sound and picture is represented by (the paper's section 2.3).
enum class Representation {
  joint,  // the multi-modal stream alone
  sum,    // the sum of the multi-modal and both uni-modal streams
  // The mean of what speaks for each uni-modal stream and is compared by the contrastive loss: the global
  // tokens.
  global,
};
inline std::vector<std::pair<Representation, std::string>> option_names(Representation) {
  return {{Representation::joint, "joint"}, {Representation::sum, "sum"}, {Representation::global, "global"}};
}

// What its logits mean: each class by itself (trained with BCE), or one distribution over them (CE).
enum class ScoreKind { sigmoid, softmax };
inline std::vector<std::pair<ScoreKind, std::string>> option_names(ScoreKind) {
  return {{ScoreKind::sigmoid, "sigmoid"}, {ScoreKind::softmax, "softmax"}};
}

// linear: the paper's, on each picture by itself. self_attention: one over all of a clip's pictures.
enum class HeadKind { linear, self_attention };
inline std::vector<std::pair<HeadKind, std::string>> option_names(HeadKind) {
  return {{HeadKind::linear, "linear"}, {HeadKind::self_attention, "self_attention"}};
}

struct HeadOptions {
  int64_t num_classes = 527;           // C
  Modalities mode = Modalities::both;  // the modalities that the classifier takes
  Representation representation = Representation::joint;
  ScoreKind scores = ScoreKind::sigmoid;
  HeadKind head_kind = HeadKind::linear;

  // Files of before these fields do not have them.
  static constexpr const char* kAbsentByDefault[] = {"head_kind"};

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("num_classes", o.num_classes, "number of classes");
    v("mode", o.mode, "what the classifier is given");
    v("representation", o.representation,
      "what of the encoders' outputs is classified: the multi-modal stream, its sum with the uni-modal ones, or "
      "the mean of the uni-modal ones' global tokens");
    v("scores", o.scores, "what the outputs mean: sigmoid (trained with bce) or softmax (ce)");
    v("head_kind", o.head_kind,
      "the head: linear, a picture by itself, or self_attention over all of a clip's");
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

  // Note [Self-attention head]: that of CAV-MAE Sync (CVPR 2025). pooled() then takes several pictures of
  // each clip, video [B, K, 3, S, S] and audio [B, T, F] or [B, K, T, F], and gives float [B, K, W]: with
  // mode both the global tokens as the modalities' own encoders leave them, audio's beside video's (W = 2D);
  // of one modality the mean over its tokens through the joint layers (W = D). classify() puts a learned
  // token before them, two transformer blocks without positions over them, and a layer normalisation and
  // linear layer on that token: float [B, K, W] -> [B, C].
  bool attends_to_pictures() const { return head_options_.head_kind == HeadKind::self_attention; }

  // LayerNorm and linear layer: float [.., D] -> logits float [.., C]; a self-attention head as above
  torch::Tensor classify(const torch::Tensor& pooled);

  // Logits, float [B, C].
  torch::Tensor forward(const Inputs& inputs) { return classify(pooled(inputs)); }

  // Logits of each of a clip's pictures: video float [B, K, 3, S, S], audio [B, T, F] or a segment a picture,
  // [B, K, T, F] -> float [B, K, C]. A mode or a clip without pictures and segments has K = 1, and so has a
  // self-attention head.
  torch::Tensor classify_frames(const Inputs& inputs);

  // The head's parameters, by the names of the authors' checkpoints (mlp_head.0.weight, ...).
  std::vector<std::string> head_parameter_names() const;

 private:
  torch::Tensor pooled_pictures(const Inputs& inputs);
  torch::Tensor pooled_global(const Inputs& inputs);
  void register_linear_head();
  void register_self_attention_head();

  HeadOptions head_options_;
  LayerNorm head_norm_{nullptr};
  Linear head_linear_{nullptr};
  torch::Tensor head_token_;         // float [1, 1, W], of a self-attention head
  BlockStack head_blocks_{nullptr};  // likewise
};
TORCH_MODULE(Classifier);

// The classifier as a network like any other: the same parameters, the head's among them.
CavMae as_network(const Classifier& classifier);

// Whether a parameter of that name is one of a head, of either kind.
bool is_of_head(const std::string& parameter);

// Throws ConfigError unless a network of this shape can be fine-tuned so.
void validate(const CavMaeConfig& encoder, const HeadOptions& head);

}  // namespace cavmae
