#include "cavmae/nn/patches.h"

namespace cavmae {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Row numbers in [B * L, D] of the ids of each clip: int64 [B * N].
torch::Tensor flat_rows(const torch::Tensor& ids, int64_t length) {
  const auto first = torch::arange(ids.size(0), ids.options()).mul_(length).unsqueeze(1);  // [B, 1]
  return (ids + first).flatten();
}

torch::Tensor pick(const torch::Tensor& tokens, const torch::Tensor& ids) {
  const int64_t clips = tokens.size(0), length = tokens.size(1), width = tokens.size(2);
  return tokens.reshape({clips * length, width})
      .index_select(0, flat_rows(ids, length))
      .view({clips, ids.size(1), width});
}

void place(torch::Tensor& out, const torch::Tensor& tokens, const torch::Tensor& ids) {
  const int64_t width = out.size(2);
  out.view({-1, width}).index_copy_(0, flat_rows(ids, out.size(1)), tokens.reshape({-1, width}));
}

class PickTokens : public torch::autograd::Function<PickTokens> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& tokens,
                               const torch::Tensor& ids) {
    context->save_for_backward({ids});
    context->saved_data["length"] = tokens.size(1);
    return pick(tokens, ids);
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto& gradient = gradients[0];
    auto out = at::zeros({gradient.size(0), context->saved_data["length"].toInt(), gradient.size(2)},
                         gradient.options());
    place(out, gradient, context->get_saved_variables()[0]);
    return {out, {}};
  }
};

class PlaceTokens : public torch::autograd::Function<PlaceTokens> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& tokens,
                               const torch::Tensor& filler, const torch::Tensor& ids, int64_t length) {
    context->save_for_backward({ids});
    auto out = filler.expand({tokens.size(0), length, tokens.size(2)}).contiguous();
    place(out, tokens, ids);
    return out;
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto& gradient = gradients[0];  // [B, L, D]
    const auto ids = context->get_saved_variables()[0];
    auto of_filler = gradient.clone();
    place(of_filler, at::zeros({ids.size(0), ids.size(1), gradient.size(2)}, gradient.options()), ids);
    return {pick(gradient, ids), of_filler.sum(torch::IntArrayRef{0, 1}, /*keepdim=*/true), {}, {}};
  }
};

}  // namespace

torch::Tensor cut_patches(const torch::Tensor& pictures, int64_t patch, PatchOrder order) {
  const int64_t clips = pictures.size(0), channels = pictures.size(1);
  const int64_t rows = pictures.size(2) / patch, columns = pictures.size(3) / patch;
  const auto split = pictures.reshape({clips, channels, rows, patch, columns, patch});
  const auto ordered = order == PatchOrder::channels_first ? split.permute({0, 2, 4, 1, 3, 5})
                                                           : split.permute({0, 2, 4, 3, 5, 1});
  return ordered.reshape({clips, rows * columns, patch * patch * channels});
}

torch::Tensor join_patches(const torch::Tensor& patches, const PatchGrid& grid, int64_t patch) {
  const int64_t clips = patches.size(0), channels = patches.size(2) / (patch * patch);
  return patches.reshape({clips, grid.rows, grid.columns, patch, patch, channels})
      .permute({0, 5, 1, 3, 2, 4})
      .reshape({clips, channels, grid.rows * patch, grid.columns * patch});
}

torch::Tensor pick_tokens(const torch::Tensor& tokens, const torch::Tensor& ids) {
  return PickTokens::apply(tokens, ids);
}

torch::Tensor place_tokens(const torch::Tensor& tokens, const torch::Tensor& filler, const torch::Tensor& ids,
                           int64_t length) {
  return PlaceTokens::apply(tokens, filler, ids, length);
}

}  // namespace cavmae
