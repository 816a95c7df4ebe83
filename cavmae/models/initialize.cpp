#include <cmath>
#include <string>

#include "cavmae/models/cav_mae.h"
#include "cavmae/models/parts.h"
#include "cavmae/nn/position_embedding.h"

namespace cavmae {
namespace {

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

// The parameters of a layer normalisation; the classifier's has no name but its place.
bool is_norm(const std::string& name) {
  return contains(name, "norm") || contains(name, "mlp_head.0.");
}

// Glorot and Bengio, AISTATS 2010, with the parameter as a matrix of one row an output.
void xavier_uniform(torch::Tensor weight, torch::Generator& generator) {
  const auto outputs = static_cast<double>(weight.size(0));
  const auto inputs = static_cast<double>(weight.numel()) / outputs;
  const double bound = std::sqrt(6.0 / (inputs + outputs));
  weight.uniform_(-bound, bound, generator);
}

}  // namespace

void initialize(CavMae& model, uint64_t seed) {
  constexpr double kStd = 0.02;
  const torch::NoGradGuard no_grad;
  auto generator = at::detail::createCPUGenerator(seed);
  for (auto& item : model->named_parameters()) {
    torch::Tensor& parameter = item.value();
    if (contains(item.key(), "pos_embed"))
      parameter.copy_(sincos_positions(parameter.size(2), contains(item.key(), "pos_embed_a")
                                                              ? audio_grid(model->config())
                                                              : video_grid(model->config())));
    else if (parameter.dim() == 3)
      parameter.normal_(0.0, kStd, generator);  // modality embeddings, the mask token, global tokens
    else if (item.key() == "register_tokens")
      parameter.normal_(0.0, 1.0, generator);  // as CAV-MAE Sync begins
    else if (parameter.dim() >= 2)
      xavier_uniform(parameter, generator);
    else
      parameter.fill_(is_norm(item.key()) && contains(item.key(), "weight") ? 1.0 : 0.0);
  }
}

}  // namespace cavmae
