#include "cavmae/kernels/onednn_products.h"

#include <map>
#include <optional>
#include <unordered_map>

#include <dnnl.hpp>

#include "cavmae/core/error.h"
#include "cavmae/kernels/pack_weight.h"

namespace cavmae::kernels {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;
using Type = memory::data_type;

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

Type type_of(const torch::Tensor& x) {
  return x.scalar_type() == torch::kFloat32 ? Type::f32 : Type::bf16;
}

enum class WeightLayout { plain, transposed, packed };
enum class Addend { none, residual, result };  // what is added to the product besides the bias

// A product [n, k] x [k, m] as oneDNN is asked for it.
struct Shape {
  int64_t n = 0, k = 0, m = 0;
  Type factors = Type::f32, result = Type::f32;
  Tag first = Tag::ab;  // ba: the first factor is stored transposed
  WeightLayout weight = WeightLayout::plain;
  bool bias = false;
  Addend addend = Addend::none;

  auto key() const { return std::tuple(n, k, m, factors, result, first, weight, bias, addend); }
  bool operator<(const Shape& other) const { return key() < other.key(); }
};

class Product {
 public:
  explicit Product(const Shape& shape) : shape_(shape) {
    const memory::desc first({shape.n, shape.k}, shape.factors, shape.first);
    const memory::desc weight({shape.k, shape.m}, shape.factors, tag_of(shape.weight));
    const memory::desc result({shape.n, shape.m}, shape.result, Tag::ab);
    const memory::desc bias({1, shape.m}, Type::f32, Tag::ab);
    dnnl::post_ops after;
    if (shape.addend == Addend::residual)
      after.append_binary(dnnl::algorithm::binary_add, memory::desc({shape.n, shape.m}, Type::f32, Tag::ab));
    if (shape.addend == Addend::result) after.append_sum(1.0f);
    dnnl::primitive_attr attributes;
    attributes.set_post_ops(after);
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const auto operation = shape.bias ? dnnl::matmul::desc(first, weight, bias, result)
                                      : dnnl::matmul::desc(first, weight, result);
    const dnnl::matmul::primitive_desc description(operation, attributes, engine());
    primitive_ = dnnl::matmul(description);
    first_ = memory(first, engine(), nullptr);
    weight_ = memory(description.weights_desc(), engine(), nullptr);
    result_ = memory(result, engine(), nullptr);
    bias_ = memory(bias, engine(), nullptr);
    residual_ = memory(memory::desc({shape.n, shape.m}, Type::f32, Tag::ab), engine(), nullptr);
    scratch_ = memory(description.scratchpad_desc(), engine(), nullptr);
  }

  struct Operands {
    const void* first = nullptr;
    const void* weight = nullptr;
    const void* bias = nullptr;
    const void* residual = nullptr;
    void* result = nullptr;
  };
  void run(const Operands& operands) {
    const auto scratch =
        at::empty({static_cast<int64_t>(scratch_.get_desc().get_size())}, torch::dtype(torch::kUInt8));
    std::unordered_map<int, memory> arguments = {{DNNL_ARG_SRC, at(first_, operands.first)},
                                                 {DNNL_ARG_WEIGHTS, at(weight_, operands.weight)},
                                                 {DNNL_ARG_DST, at(result_, operands.result)},
                                                 {DNNL_ARG_SCRATCHPAD, at(scratch_, scratch.data_ptr())}};
    if (shape_.bias) arguments[DNNL_ARG_BIAS] = at(bias_, operands.bias);
    if (shape_.addend == Addend::residual)
      arguments[DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1] = at(residual_, operands.residual);
    dnnl::stream stream(engine());
    primitive_.execute(stream, arguments);
    stream.wait();
  }
  memory::desc weight_description() const { return weight_.get_desc(); }

 private:
  static Tag tag_of(WeightLayout layout) {
    switch (layout) {
      case WeightLayout::plain:
        return Tag::ab;
      case WeightLayout::transposed:
        return Tag::ba;
      case WeightLayout::packed:
        break;
    }
    return Tag::any;
  }
  static memory& at(memory& place, const void* data) {
    place.set_data_handle(const_cast<void*>(data));
    return place;
  }

  Shape shape_;
  dnnl::matmul primitive_;
  memory first_, weight_, result_, bias_, residual_, scratch_;
};

// Each thread has its own: a product keeps its operands' addresses while it runs.
Product& product_for(const Shape& shape) {
  constexpr size_t kMaxKept = 512;  // far above what a network needs; batches of ever new sizes end here
  thread_local std::map<Shape, Product> products;
  if (products.size() >= kMaxKept && !products.contains(shape)) products.clear();
  return products.try_emplace(shape, shape).first->second;
}

}  // namespace

bool has_onednn() {
  return true;
}

// oneDNN numbers its instruction sets by bits: a set's bits are among those of the sets above it.
InstructionSet instructions_left_by_onednn() {
  const auto bits = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  const auto has = [&](dnnl::cpu_isa isa) {
    const auto wanted = static_cast<unsigned>(isa);
    return (bits & wanted) == wanted;
  };
  if (has(dnnl::cpu_isa::avx512_core_bf16)) return InstructionSet::avx512_bf16;
  if (has(dnnl::cpu_isa::avx512_core)) return InstructionSet::avx512;
  if (has(dnnl::cpu_isa::avx2)) return InstructionSet::avx2;
  return InstructionSet::baseline;
}

// One packed copy: of some rows of the weight, for one of the two products that take it.
struct PackedWeight::Copies {
  struct Copy {
    memory::desc layout;
    torch::Tensor data;  // uint8
    const void* source = nullptr;
    int64_t version = -1;
  };
  enum class Use { forward, input_gradient };

  std::mutex mutex;
  std::map<std::tuple<int64_t, int64_t, Use>, Copy> of_rows;
};

PackedWeight::PackedWeight() : copies_(std::make_unique<Copies>()) {}
PackedWeight::~PackedWeight() = default;

void PackedWeight::release() {
  const std::lock_guard lock(copies_->mutex);
  copies_->of_rows.clear();
}

namespace {

using Use = PackedWeight::Copies::Use;

// The number of columns of the blocks that such a layout is made of, 0 for a layout of another kind.
int64_t block_columns(const memory::desc& layout) {
  static constexpr std::pair<Tag, int64_t> kLayouts[] = {
      {Tag::BA16a64b2a, 64}, {Tag::BA16a48b2a, 48}, {Tag::BA16a32b2a, 32}, {Tag::BA16a16b2a, 16}};
  for (const auto& [tag, columns] : kLayouts)
    if (layout == memory::desc(layout.dims(), Type::bf16, tag)) return columns;
  return 0;
}

// The weight as the matrix that `use` multiplies with, packed: [k, m] of W^T forward, [m, k] of W backward.
torch::Tensor pack(const Weight& weight, Use use, const memory::desc& layout) {
  const auto data = at::empty({static_cast<int64_t>(layout.get_size())}, torch::dtype(torch::kUInt8));
  if (const int64_t columns = block_columns(layout); columns > 0 && can_pack_weights()) {
    pack_weight({.weight = weight.data(),
                 .rows = weight.rows,
                 .columns = weight.columns(),
                 .factor = use == Use::forward ? PackedFactor::transposed : PackedFactor::as_it_is,
                 .block_columns = columns,
                 .packed = bf16_data(data)});
    return data;
  }
  const memory::dims size = use == Use::forward ? memory::dims{weight.columns(), weight.rows}
                                                : memory::dims{weight.rows, weight.columns()};
  const memory::desc plain(size, Type::f32, use == Use::forward ? Tag::ba : Tag::ab);
  memory from(plain, engine(), const_cast<float*>(weight.data()));
  memory to(layout, engine(), data.data_ptr());
  dnnl::stream stream(engine());
  dnnl::reorder(from, to).execute(stream, from, to);
  stream.wait();
  return data;
}

torch::Tensor packed(const Weight& weight, Use use, const memory::desc& layout) {
  if (weight.packed == nullptr) return pack(weight, use, layout);
  auto& copies = weight.packed->copies();
  const std::lock_guard lock(copies.mutex);
  auto& copy = copies.of_rows[{weight.first_row, weight.rows, use}];
  const auto version = static_cast<int64_t>(weight.parameter._version());
  if (copy.version != version || copy.source != weight.data() || copy.layout != layout)
    copy = {.layout = layout, .data = pack(weight, use, layout), .source = weight.data(), .version = version};
  return copy.data;
}

}  // namespace

void onednn_forward(const ForwardProduct& p) {
  const bool bf16 = element_of(p.x) == Element::bf16;
  const Shape shape{.n = p.x.size(0),
                    .k = p.x.size(1),
                    .m = p.weight.rows,
                    .factors = type_of(p.x),
                    .result = type_of(p.y),
                    .weight = bf16 ? WeightLayout::packed : WeightLayout::transposed,
                    .bias = p.bias.defined(),
                    .addend = p.residual.defined() ? Addend::residual : Addend::none};
  Product& product = product_for(shape);
  torch::Tensor copy;
  if (bf16) copy = packed(p.weight, Use::forward, product.weight_description());
  product.run({.first = p.x.data_ptr(),
               .weight = bf16 ? copy.data_ptr() : p.weight.data(),
               .bias = p.bias.defined() ? p.bias.data_ptr() : nullptr,
               .residual = p.residual.defined() ? p.residual.data_ptr() : nullptr,
               .result = p.y.data_ptr()});
}

void onednn_input_gradient(const InputGradient& p) {
  const bool bf16 = element_of(p.g) == Element::bf16;
  const Shape shape{.n = p.g.size(0),
                    .k = p.weight.rows,
                    .m = p.weight.columns(),
                    .factors = type_of(p.g),
                    .result = type_of(p.dx),
                    .weight = bf16 ? WeightLayout::packed : WeightLayout::plain};
  Product& product = product_for(shape);
  torch::Tensor copy;
  if (bf16) copy = packed(p.weight, Use::input_gradient, product.weight_description());
  product.run({.first = p.g.data_ptr(),
               .weight = bf16 ? copy.data_ptr() : p.weight.data(),
               .result = p.dx.data_ptr()});
}

void onednn_weight_gradient(const WeightGradient& p) {
  const Shape shape{.n = p.g.size(1),
                    .k = p.g.size(0),
                    .m = p.x.size(1),
                    .factors = type_of(p.g),
                    .result = Type::f32,
                    .first = Tag::ba,
                    .addend = p.gather == Gather::add ? Addend::result : Addend::none};
  product_for(shape).run(
      {.first = p.g.data_ptr(), .weight = p.x.data_ptr(), .result = p.d_weight.data_ptr()});
}

namespace {

bool agrees(const torch::Tensor& ours, const torch::Tensor& expected) {
  const auto difference = (ours.to(torch::kFloat32) - expected).abs().max().item<float>();
  return difference <= 2e-2f * expected.abs().max().item<float>();  // bf16 has 8 bits
}

}  // namespace

std::string try_onednn_bf16() {
  const torch::NoGradGuard no_grad;
  const auto generator = at::detail::createCPUGenerator(1);
  const auto normal = [&](torch::IntArrayRef sizes) { return torch::empty(sizes).normal_(0, 1, generator); };
  const auto rounded = [](const torch::Tensor& x) { return x.to(torch::kBFloat16); };
  constexpr int64_t kRows = 40, kInputs = 64, kOutputs = 96;
  const auto x = rounded(normal({kRows, kInputs})), g = rounded(normal({kRows, kOutputs}));
  const auto weight = rounded(normal({kOutputs, kInputs})).to(torch::kFloat32), bias = normal({kOutputs});
  const auto residual = normal({kRows, kOutputs});
  const auto wide_x = x.to(torch::kFloat32), wide_g = g.to(torch::kFloat32);
  try {
    auto y = at::empty({kRows, kOutputs}, torch::kFloat32), y16 = at::empty_like(g), dx = at::empty_like(x);
    auto d_weight = at::ones_like(weight);
    onednn_forward({.x = x, .weight = whole_weight(weight), .bias = bias, .residual = residual, .y = y});
    onednn_forward({.x = x, .weight = whole_weight(weight), .bias = bias, .residual = {}, .y = y16});
    onednn_input_gradient({.g = g, .weight = whole_weight(weight), .dx = dx});
    onednn_weight_gradient({.g = g, .x = x, .d_weight = d_weight, .gather = Gather::add});
    const auto forward = at::addmm(bias, wide_x, weight.t()), of_weight = at::mm(wide_g.t(), wide_x);
    if (!agrees(y, forward + residual) || !agrees(y16, forward)) return "a forward product came out wrong";
    if (!agrees(dx, at::mm(wide_g, weight))) return "an input gradient came out wrong";
    if (!agrees(d_weight, of_weight + 1)) return "an added weight gradient came out wrong";
    onednn_weight_gradient({.g = g, .x = x, .d_weight = d_weight, .gather = Gather::replace});
    if (!agrees(d_weight, of_weight)) return "a weight gradient came out wrong";
  } catch (const std::exception& error) {
    return concat("oneDNN says: ", error.what());
  }
  return "";
}

}  // namespace cavmae::kernels
