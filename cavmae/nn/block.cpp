#include "cavmae/nn/block.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "cavmae/core/parallel.h"
#include "cavmae/kernels/flash_attention.h"
#include "cavmae/kernels/row_kernels.h"
#include "cavmae/nn/clip_groups.h"
#include "cavmae/nn/gradient_target.h"
#include "cavmae/nn/profile_range.h"
#include "cavmae/nn/profile_ranges.h"

namespace cavmae {
namespace {

using kernels::Accumulate;
using kernels::AttentionCall;
using kernels::Element;
using kernels::HeadsView;

// The sizes of a call.
struct Sizes {
  int64_t clips, length, width, queries;  // B, L, D, M
  torch::TensorOptions floats, elements;

  Sizes(const BlockParameters& p, const BlockInput& in)
      : clips(in.x.size(0)),
        length(in.x.size(1)),
        width(in.x.size(2)),
        queries(in.ids.defined() ? in.ids.size(1) : length),
        floats(in.x.options().requires_grad(false)),
        elements(floats.dtype(scalar_type(p.element))) {}

  int64_t rows() const { return clips * length; }
  int64_t result_rows() const { return clips * queries; }
};

const float* floats(const torch::Tensor& x) {
  return x.data_ptr<float>();
}

Weight weight_rows(const LinearParameters& layer, const RowRange& range) {
  Weight weight = whole_weight(layer.weight, layer.packed);
  weight.first_row = range.first;
  weight.rows = range.rows;
  return weight;
}

RowRange all_rows(const LinearParameters& layer) {
  return {.first = 0, .rows = layer.weight.size(0)};
}

torch::Tensor linear_rows(const LinearParameters& layer, const torch::Tensor& x, const RowRange& range) {
  auto y = at::empty({x.size(0), range.rows}, x.options());
  linear_forward({.x = x,
                  .weight = weight_rows(layer, range),
                  .bias = layer.bias.narrow(0, range.first, range.rows),
                  .residual = {},
                  .y = y});
  return y;
}

// y = layer(x) + residual, float.
void linear_onto(const LinearParameters& layer, const torch::Tensor& x, const torch::Tensor& residual,
                 const torch::Tensor& y) {
  linear_forward({.x = x,
                  .weight = weight_rows(layer, all_rows(layer)),
                  .bias = layer.bias,
                  .residual = residual,
                  .y = y});
}

torch::Tensor dgrad(const LinearParameters& layer, const torch::Tensor& g, const RowRange& range) {
  auto dx = at::empty({g.size(0), layer.weight.size(1)}, g.options());
  linear_dgrad({.g = g, .weight = weight_rows(layer, range), .dx = dx});
  return dx;
}

struct NormStatistics {
  torch::Tensor mean, rstd;  // float [rows]; undefined where they are not kept
};

// x: float [rows, D] -> element [rows, D]
torch::Tensor normalize(const NormParameters& norm, const torch::Tensor& x, Element element,
                        const NormStatistics& statistics) {
  auto y = at::empty(x.sizes(), x.options().dtype(scalar_type(element)));
  kernels::layer_norm_forward(
      {.x = floats(x),
       .weight = floats(norm.weight),
       .bias = floats(norm.bias),
       .y = y.data_ptr(),
       .mean = statistics.mean.defined() ? statistics.mean.data_ptr<float>() : nullptr,
       .rstd = statistics.rstd.defined() ? statistics.rstd.data_ptr<float>() : nullptr,
       .rows = x.size(0),
       .width = x.size(1),
       .element = element});
  return y;
}

// Queries, keys and values as attention takes them: packed in one tensor, or in two.
struct QkvViews {
  HeadsView q, k, v;
};
QkvViews qkv_views(const Sizes& s, const torch::Tensor& queries, const torch::Tensor& keys_values) {
  const auto view = [](const torch::Tensor& x, int64_t first_column, int64_t rows_a_clip) {
    const int64_t width = x.size(1);
    return HeadsView{
        .data = static_cast<char*>(x.data_ptr()) + first_column * static_cast<int64_t>(x.element_size()),
        .clip_stride = rows_a_clip * width,
        .row_stride = width};
  };
  if (!keys_values.defined())
    return {.q = view(queries, 0, s.length),
            .k = view(queries, s.width, s.length),
            .v = view(queries, 2 * s.width, s.length)};
  return {.q = view(queries, 0, s.queries),
          .k = view(keys_values, 0, s.length),
          .v = view(keys_values, s.width, s.length)};
}

AttentionCall attention_call(const BlockParameters& p, const Sizes& s) {
  return {.clips = s.clips,
          .queries = s.queries,
          .keys = s.length,
          .heads = p.heads,
          .head_width = s.width / p.heads,
          .element = p.element};
}

HeadsView rows_view(const torch::Tensor& x, const Sizes& s) {  // [R, D]
  return {.data = x.data_ptr(), .clip_stride = s.queries * s.width, .row_stride = s.width};
}

// A forward pass, keeping in `saved` what is asked for.
torch::Tensor attention_forward(const BlockParameters& p, const BlockInput& in, const Sizes& s,
                                SavedOfGroup* saved) {
  const ProfileRange range(ranges::kAttention);
  const auto x = in.x.view({s.rows(), s.width});
  NormStatistics statistics;
  if (saved != nullptr) statistics = {at::empty({s.rows()}, s.floats), at::empty({s.rows()}, s.floats)};
  torch::Tensor residual = x, queries, keys_values, log_sum_exp;
  {
    const auto normal = normalize(p.norm1, x, p.element, statistics);
    if (in.ids.defined()) {
      const auto picked = flat_rows(in.ids, s.length);
      residual = x.index_select(0, picked);
      queries = linear_rows(p.qkv, normal.index_select(0, picked), {.first = 0, .rows = s.width});
      keys_values = linear_rows(p.qkv, normal, {.first = s.width, .rows = 2 * s.width});
    } else {
      queries = linear_rows(p.qkv, normal, all_rows(p.qkv));
    }
  }
  const auto attn_out = at::empty({s.result_rows(), s.width}, s.elements);
  if (saved != nullptr) log_sum_exp = at::empty({s.clips, p.heads, s.queries}, s.floats);
  {
    const ProfileRange inner(ranges::kAttentionMatmul);
    const QkvViews views = qkv_views(s, queries, keys_values);
    kernels::flash_attention_forward(
        attention_call(p, s), {.q = views.q,
                               .k = views.k,
                               .v = views.v,
                               .out = rows_view(attn_out, s),
                               .log_sum_exp = saved != nullptr ? log_sum_exp.data_ptr<float>() : nullptr});
  }
  if (saved != nullptr) {
    saved->mean1 = statistics.mean;
    saved->rstd1 = statistics.rstd;
    saved->queries = queries;
    saved->keys_values = keys_values;
    saved->log_sum_exp = log_sum_exp;
    saved->attn_out = attn_out;
  }
  auto x1 = at::empty_like(residual);
  linear_onto(p.proj, attn_out, residual, x1);
  return x1;
}

torch::Tensor gelu(torch::Tensor x, Element element, bool in_place) {
  auto y = in_place ? x : at::empty_like(x);
  kernels::gelu_forward({.x = x.data_ptr(), .y = y.data_ptr(), .count = x.numel(), .element = element});
  return y;
}

// g: element [R, ..], the gradient of a layer's result; its sums are the gradient of the layer's bias.
void add_bias_gradient(const GradientTarget& bias, const torch::Tensor& g, const RowRange& range) {
  if (!bias.gradient.defined()) return;
  kernels::sum_rows({.x = g.data_ptr(),
                     .sums = bias.data() + range.first,
                     .accumulate = bias.accumulate,
                     .rows = g.size(0),
                     .width = g.size(1),
                     .element = element_of(g)});
}

// Backward through one norm and past it.
struct NormPass {
  const NormParameters& norm;
  torch::Tensor x;            // float [rows, D]
  NormStatistics statistics;  // of x
  torch::Tensor g;            // element [rows, D], the gradient of the norm's result
  torch::Tensor residual;     // float [rows, D]; may be undefined
  torch::Tensor dx = {};      // float [rows, D], where the result goes; undefined: memory of its own
};
struct NormGradient {
  torch::Tensor dx;       // float [rows, D]
  torch::Tensor rounded;  // element [rows, D], the same
  torch::Tensor y;        // element [rows, D], the norm's result
};
enum class WantRounded { no, yes };
NormGradient norm_backward(const NormPass& pass, WantRounded want_rounded, const GradientTarget& sums) {
  const Element element = element_of(pass.g);
  NormGradient out{
      .dx = pass.dx.defined() ? pass.dx : at::empty_like(pass.x), .rounded = {}, .y = at::empty_like(pass.g)};
  const bool round = want_rounded == WantRounded::yes && element == Element::bf16;
  out.rounded = round ? at::empty_like(pass.g) : out.dx;
  auto of_weight = gradient_target(pass.norm.weight), of_bias = gradient_target(pass.norm.bias);
  // The kernel treats both alike; a frozen one's sums are thrown away.
  const bool add = of_weight.accumulate == Accumulate::yes || of_bias.accumulate == Accumulate::yes;
  for (auto* target : {&of_weight, &of_bias}) {
    if (!target->gradient.defined()) target->gradient = at::empty(pass.norm.weight.sizes(), pass.x.options());
    if (add && target->accumulate == Accumulate::no) target->gradient.zero_();
  }
  kernels::layer_norm_backward({.x = floats(pass.x),
                                .weight = floats(pass.norm.weight),
                                .bias = floats(pass.norm.bias),
                                .mean = floats(pass.statistics.mean),
                                .rstd = floats(pass.statistics.rstd),
                                .g = pass.g.data_ptr(),
                                .residual = pass.residual.defined() ? floats(pass.residual) : nullptr,
                                .dx = out.dx.data_ptr<float>(),
                                .dx_rounded = round ? out.rounded.data_ptr() : nullptr,
                                .y = out.y.data_ptr(),
                                .d_weight = of_weight.data(),
                                .d_bias = of_bias.data(),
                                .dx_sums = sums.data(),
                                .accumulate_norm = add ? Accumulate::yes : Accumulate::no,
                                .accumulate_sums = sums.accumulate,
                                .rows = pass.x.size(0),
                                .width = pass.x.size(1),
                                .element = element});
  return out;
}

// Through the MLP: from d_y, float [R, D], to the gradient of x1.
NormGradient mlp_backward(const BlockParameters& p, const SavedOfGroup& saved, const torch::Tensor& d_y) {
  const ProfileRange range(ranges::kMlp);
  const auto of_bias2 = gradient_target(p.fc2.bias);
  auto g = d_y;
  if (p.element == Element::bf16) g = at::empty(d_y.sizes(), saved.fc1_out.options());
  kernels::sum_rows({.x = d_y.data_ptr(),
                     .rounded = p.element == Element::bf16 ? bf16_data(g) : nullptr,
                     .sums = of_bias2.data(),
                     .accumulate = of_bias2.accumulate,
                     .rows = d_y.size(0),
                     .width = d_y.size(1)});
  auto d_fc1_out = dgrad(p.fc2, g, all_rows(p.fc2));
  {
    auto activated = at::empty_like(d_fc1_out);
    const auto of_bias1 = gradient_target(p.fc1.bias);
    const auto sums =
        of_bias1.gradient.defined() ? of_bias1.gradient : at::empty(p.fc1.bias.sizes(), d_y.options());
    kernels::gelu_backward({.x = saved.fc1_out.data_ptr(),
                            .g = d_fc1_out.data_ptr(),
                            .dx = d_fc1_out.data_ptr(),
                            .y = activated.data_ptr(),
                            .dx_sums = sums.data_ptr<float>(),
                            .accumulate = of_bias1.accumulate,
                            .rows = d_fc1_out.size(0),
                            .width = d_fc1_out.size(1),
                            .element = p.element});
    add_weight_gradient(gradient_target(p.fc2.weight), g, activated, all_rows(p.fc2));
  }
  const NormPass pass{.norm = p.norm2,
                      .x = saved.x1,
                      .statistics = {saved.mean2, saved.rstd2},
                      .g = dgrad(p.fc1, d_fc1_out, all_rows(p.fc1)),
                      .residual = d_y};
  const auto out = norm_backward(pass, WantRounded::yes, gradient_target(p.proj.bias));
  add_weight_gradient(gradient_target(p.fc1.weight), d_fc1_out, out.y, all_rows(p.fc1));
  return out;
}

struct QkvGradient {
  torch::Tensor queries, keys_values;  // as in SavedOfGroup
};
QkvGradient attention_backward(const BlockParameters& p, const Sizes& s, const SavedOfGroup& saved,
                               const torch::Tensor& d_attn_out) {
  const ProfileRange range(ranges::kAttentionMatmul);
  const QkvGradient out{
      .queries = at::empty_like(saved.queries),
      .keys_values = saved.keys_values.defined() ? at::empty_like(saved.keys_values) : torch::Tensor()};
  const QkvViews of = qkv_views(s, saved.queries, saved.keys_values);
  const QkvViews to = qkv_views(s, out.queries, out.keys_values);
  kernels::flash_attention_backward(attention_call(p, s), {.q = of.q,
                                                           .k = of.k,
                                                           .v = of.v,
                                                           .out = rows_view(saved.attn_out, s),
                                                           .d_out = rows_view(d_attn_out, s),
                                                           .log_sum_exp = saved.log_sum_exp.data_ptr<float>(),
                                                           .d_q = to.q,
                                                           .d_k = to.k,
                                                           .d_v = to.v});
  return out;
}

// Puts the result into y, float [R, D]; undefined: not wanted.
void group_forward(const BlockParameters& p, const BlockInput& in, SavedOfGroup* saved,
                   const torch::Tensor& y) {
  const Sizes s(p, in);
  const auto x1 = attention_forward(p, in, s, saved);
  const ProfileRange range(ranges::kMlp);
  NormStatistics statistics;
  if (saved != nullptr)
    statistics = {at::empty({s.result_rows()}, s.floats), at::empty({s.result_rows()}, s.floats)};
  const auto fc1_out = linear_rows(p.fc1, normalize(p.norm2, x1, p.element, statistics), all_rows(p.fc1));
  if (saved != nullptr) {
    saved->x1 = x1;
    saved->mean2 = statistics.mean;
    saved->rstd2 = statistics.rstd;
    saved->fc1_out = fc1_out;
  }
  if (y.defined()) linear_onto(p.fc2, gelu(fc1_out, p.element, /*in_place=*/saved == nullptr), x1, y);
}

// d_y: float [R, D]; dx: float [B * L, D], the result.
void group_backward(const BlockParameters& p, const BlockInput& in, const SavedOfGroup& saved,
                    const torch::Tensor& d_y, const torch::Tensor& dx) {
  const Sizes s(p, in);
  const auto x = in.x.view({s.rows(), s.width});
  const auto past_mlp = mlp_backward(p, saved, d_y);
  const ProfileRange range(ranges::kAttention);
  const auto d_attn_out = dgrad(p.proj, past_mlp.rounded, all_rows(p.proj));
  add_weight_gradient(gradient_target(p.proj.weight), past_mlp.rounded, saved.attn_out, all_rows(p.proj));
  const auto d_qkv = attention_backward(p, s, saved, d_attn_out);
  const auto of_bias = gradient_target(p.qkv.bias), of_weight = gradient_target(p.qkv.weight);
  NormPass pass{.norm = p.norm1,
                .x = x,
                .statistics = {saved.mean1, saved.rstd1},
                .g = {},
                .residual = past_mlp.dx,
                .dx = dx};
  if (!in.ids.defined()) {
    add_bias_gradient(of_bias, d_qkv.queries, all_rows(p.qkv));
    pass.g = dgrad(p.qkv, d_qkv.queries, all_rows(p.qkv));
    const auto out = norm_backward(pass, WantRounded::no, {});
    add_weight_gradient(of_weight, d_qkv.queries, out.y, all_rows(p.qkv));
    return;
  }
  const RowRange query_rows{.first = 0, .rows = s.width}, other_rows{.first = s.width, .rows = 2 * s.width};
  const auto picked = flat_rows(in.ids, s.length);
  add_bias_gradient(of_bias, d_qkv.queries, query_rows);
  add_bias_gradient(of_bias, d_qkv.keys_values, other_rows);
  pass.g = dgrad(p.qkv, d_qkv.keys_values, other_rows);
  pass.g.index_copy_(0, picked, pass.g.index_select(0, picked).add_(dgrad(p.qkv, d_qkv.queries, query_rows)));
  pass.residual = at::zeros_like(x).index_copy_(0, picked, past_mlp.dx);
  const auto out = norm_backward(pass, WantRounded::no, {});
  add_weight_gradient(of_weight, d_qkv.queries, out.y.index_select(0, picked), query_rows);
  add_weight_gradient(of_weight, d_qkv.keys_values, out.y, other_rows);
}

// Note [Groups of clips].
bool side_by_side(const BlockParameters& p) {
  return groups_go_side_by_side(p.qkv.weight.size(1), p.element);
}

struct Group {
  int64_t first, clips;
  BlockInput input;

  // [B, n, D] -> the group's rows, [clips * n, D]
  torch::Tensor rows(const torch::Tensor& x) const { return x.narrow(0, first, clips).view({-1, x.size(2)}); }
};

int64_t count_groups(const BlockParameters& p, const BlockInput& in) {
  const int64_t clips = in.x.size(0);
  if (p.group_values == 0 || clips == 0) return 1;
  const auto wanted = static_cast<uint64_t>(std::max(in.x.numel() / p.group_values, int64_t{1}));
  if (!side_by_side(p)) return std::min(static_cast<int64_t>(wanted), clips);
  // As many for each thread, where threads are a power of two.
  const int64_t count = std::min({static_cast<int64_t>(std::bit_ceil(wanted)), clips, kMostSideBySide});
  return count < at::get_num_threads() ? 1 : count;
}

std::vector<Group> groups_of(const BlockParameters& p, const BlockInput& in) {
  const int64_t clips = in.x.size(0), count = count_groups(p, in);
  std::vector<Group> groups;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t first = clips * i / count, size = clips * (i + 1) / count - first;
    groups.push_back({.first = first,
                      .clips = size,
                      .input = {.x = in.x.narrow(0, first, size),
                                .ids = in.ids.defined() ? in.ids.narrow(0, first, size) : torch::Tensor()}});
  }
  return groups;
}

// The parameters with memory for packed weights where several groups want them.
BlockParameters packed_for(const std::vector<Group>& groups, BlockParameters p) {
  if (groups.size() == 1) return p;
  for (auto* layer : {&p.qkv, &p.proj, &p.fc1, &p.fc2})
    if (layer->packed == nullptr)
      layer->packed = std::make_shared<kernels::PackedWeight>(kernels::PackedWeight::KeptFrom::first_use);
  return p;
}

// work(i) for every group, of a narrow block on a thread each.
template <class Work>
void for_groups(const BlockParameters& p, const std::vector<Group>& groups, const Work& work) {
  const auto count = static_cast<int64_t>(groups.size());
  if (count == 1 || !side_by_side(p)) {
    for (int64_t i = 0; i < count; ++i) work(static_cast<size_t>(i));
    return;
  }
  at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    const torch::NoGradGuard no_grad;
    const at::AutoDispatchBelowADInplaceOrView plain_operators;
    for (int64_t i = begin; i < end; ++i) work(static_cast<size_t>(i));
  });
}

std::array<torch::Tensor*, 12> tensors_of(BlockParameters& p) {
  return {&p.norm1.weight, &p.norm1.bias, &p.norm2.weight, &p.norm2.bias, &p.qkv.weight, &p.qkv.bias,
          &p.proj.weight,  &p.proj.bias,  &p.fc1.weight,   &p.fc1.bias,   &p.fc2.weight, &p.fc2.bias};
}

// The same values, whose gradients go elsewhere.
BlockParameters with_own_gradients(BlockParameters p) {
  for (torch::Tensor* tensor : tensors_of(p))
    *tensor = tensor->detach().requires_grad_(tensor->requires_grad());
  return p;
}

// Adds the gradients that went elsewhere, in order.
void add_gradients(BlockParameters p, std::vector<BlockParameters>& of_groups) {
  const auto tensors = tensors_of(p);
  for (size_t k = 0; k < tensors.size(); ++k) {
    const auto target = gradient_target(*tensors[k]);
    if (!target.gradient.defined()) continue;
    std::vector<const float*> parts;
    for (BlockParameters& of_group : of_groups) parts.push_back(floats(tensors_of(of_group)[k]->grad()));
    float* const sum = target.data();
    constexpr int64_t kPieceValues = 16384;
    at::parallel_for(0, target.gradient.numel(), kPieceValues, [&](int64_t begin, int64_t end) {
      if (target.accumulate == Accumulate::no) std::fill(sum + begin, sum + end, 0.0f);
      for (const float* part : parts)
        for (int64_t i = begin; i < end; ++i) sum[i] += part[i];
    });
  }
}

}  // namespace

torch::Tensor flat_rows(const torch::Tensor& ids, int64_t length) {
  const auto first = torch::arange(ids.size(0), ids.options()).mul_(length).unsqueeze(1);  // [B, 1]
  return (ids + first).flatten();
}

torch::Tensor block_forward(const BlockParameters& parameters, const BlockInput& in,
                            SavedForBackward* saved) {
  const auto groups = groups_of(parameters, in);
  const auto p = packed_for(groups, parameters);
  auto y = at::empty({in.x.size(0), in.ids.defined() ? in.ids.size(1) : in.x.size(1), in.x.size(2)},
                     in.x.options().requires_grad(false));
  if (saved != nullptr) saved->resize(groups.size());
  for_groups(p, groups, [&](size_t i) {
    group_forward(p, groups[i].input, saved != nullptr ? &(*saved)[i] : nullptr, groups[i].rows(y));
  });
  return y;
}

torch::Tensor block_backward(const BlockParameters& parameters, const BlockInput& in,
                             const SavedForBackward* saved, const torch::Tensor& d_y) {
  const auto groups = groups_of(parameters, in);
  const auto p = packed_for(groups, parameters);
  auto dx = at::empty(in.x.sizes(), in.x.options().requires_grad(false));
  std::vector<BlockParameters> of_groups;
  const bool apart = groups.size() > 1 && side_by_side(p);
  for (size_t i = 0; i < groups.size(); ++i) of_groups.push_back(apart ? with_own_gradients(p) : p);
  for_groups(p, groups, [&](size_t i) {
    const Group& group = groups[i];
    SavedOfGroup computed_again;
    if (saved == nullptr) group_forward(p, group.input, &computed_again, {});
    group_backward(of_groups[i], group.input, saved != nullptr ? (*saved)[i] : computed_again,
                   group.rows(d_y), group.rows(dx));
  });
  if (apart) add_gradients(p, of_groups);
  return dx;
}

}  // namespace cavmae
