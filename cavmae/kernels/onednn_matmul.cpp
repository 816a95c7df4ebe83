// The matrix products by oneDNN; not part of a build without it (-DCAVMAE_ONEDNN=OFF).
#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>

#include <dnnl.hpp>

#include "cavmae/core/error.h"
#include "cavmae/isa/isa.h"
#include "cavmae/isa/tiles.h"
#include "cavmae/kernels/buffer.h"
#include "cavmae/kernels/matmul.h"
#include "cavmae/kernels/onednn_rows.h"
#include "cavmae/kernels/pack_weight.h"
#include "cavmae/kernels/versions.h"

namespace cavmae::kernels {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;
using Type = memory::data_type;

// CAVMAE_ISA is passed on; oneDNN refuses where it has been used already, and then has it from
// tune_process().
void pass_on_isa() {
  if (!isa_is_switched()) return;
  const auto& isa = usable_isa();
  dnnl::set_max_cpu_isa(isa.has(Isa::amx_bf16)      ? dnnl::cpu_isa::all
                        : isa.has(Isa::avx512_bf16) ? dnnl::cpu_isa::avx512_core_bf16
                        : isa.has(Isa::avx512)      ? dnnl::cpu_isa::avx512_core
                        : isa.has(Isa::avx2)        ? dnnl::cpu_isa::avx2
                                                    : dnnl::cpu_isa::sse41);
}

const dnnl::engine& engine() {
  static const dnnl::engine cpu = [] {
    pass_on_isa();
    return dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return cpu;
}

Type type_of(Element element) {
  return element == Element::f32 ? Type::f32 : Type::bf16;
}

enum class WeightLayout { plain, transposed, packed };
enum class Addend { none, residual, result };  // what is added besides the bias

// A matmul [n, k] x [k, m] as oneDNN is asked for it.
struct Shape {
  int64_t n = 0, k = 0, m = 0;
  Type factors = Type::f32, result = Type::f32;
  Tag first = Tag::ab;  // ba: the first factor is stored transposed
  WeightLayout weight = WeightLayout::plain;
  bool bias = false;
  Addend addend = Addend::none;
  int64_t layout_of_rows = 0;  // the packed weight is that of so many rows; 0: of n

  auto key() const {
    return std::tuple(n, k, m, factors, result, first, weight, bias, addend, layout_of_rows);
  }
  bool operator<(const Shape& other) const { return key() < other.key(); }
};

memory::desc weight_layout(const Shape& shape);

class Matmul {
 public:
  explicit Matmul(const Shape& shape) : shape_(shape) {
    const memory::desc first({shape.n, shape.k}, shape.factors, shape.first);
    const memory::desc weight = weight_layout(shape);
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
    const Buffer scratch(static_cast<int64_t>(scratch_.get_desc().get_size()));
    std::unordered_map<int, memory> arguments = {{DNNL_ARG_SRC, at(first_, operands.first)},
                                                 {DNNL_ARG_WEIGHTS, at(weight_, operands.weight)},
                                                 {DNNL_ARG_DST, at(result_, operands.result)},
                                                 {DNNL_ARG_SCRATCHPAD, at(scratch_, scratch.data())}};
    if (shape_.bias) arguments[DNNL_ARG_BIAS] = at(bias_, operands.bias);
    if (shape_.addend == Addend::residual)
      arguments[DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1] = at(residual_, operands.residual);
    dnnl::stream stream(engine());
    primitive_.execute(stream, arguments);
    stream.wait();
  }
  memory::desc weight_description() const { return weight_.get_desc(); }

 private:
  static memory& at(memory& place, const void* data) {
    place.set_data_handle(const_cast<void*>(data));
    return place;
  }

  Shape shape_;
  dnnl::matmul primitive_;
  memory first_, weight_, result_, bias_, residual_, scratch_;
};

// Each thread has its own: a matmul keeps its operands' addresses while it runs.
Matmul& matmul_for(const Shape& shape) {
  constexpr size_t kMaxKept = 512;  // far above what a network needs; batches of ever new sizes end here
  thread_local std::map<Shape, Matmul> matmuls;
  if (matmuls.size() >= kMaxKept && !matmuls.contains(shape)) matmuls.clear();
  return matmuls.try_emplace(shape, shape).first->second;
}

memory::desc weight_layout(const Shape& shape) {
  const auto with = [&](Tag tag) { return memory::desc({shape.k, shape.m}, shape.factors, tag); };
  if (shape.weight == WeightLayout::plain) return with(Tag::ab);
  if (shape.weight == WeightLayout::transposed) return with(Tag::ba);
  if (shape.layout_of_rows == 0) return with(Tag::any);
  Shape other = shape;
  other.n = shape.layout_of_rows, other.layout_of_rows = 0;
  return matmul_for(other).weight_description();
}

using Factor = PackedWeight::Factor;

struct OnednnCopy : PackedWeight::Copy {
  OnednnCopy(const WeightRows& weight, memory::desc packed_layout)
      : layout(std::move(packed_layout)), data(static_cast<int64_t>(layout.get_size())) {
    source = weight.data;
    version = weight.version;
  }
  memory::desc layout;
  Buffer data;
};

// The number of columns of the blocks that such a layout is made of, 0 for a layout of another kind.
int64_t block_columns(const memory::desc& layout) {
  static constexpr std::pair<Tag, int64_t> kLayouts[] = {
      {Tag::BA16a64b2a, 64}, {Tag::BA16a48b2a, 48}, {Tag::BA16a32b2a, 32}, {Tag::BA16a16b2a, 16}};
  for (const auto& [tag, columns] : kLayouts)
    if (layout == memory::desc(layout.dims(), Type::bf16, tag)) return columns;
  return 0;
}

// The weight as the matrix that is multiplied with, packed: [k, m] of W^T forward, [m, k] of W backward.
std::shared_ptr<const OnednnCopy> pack(const WeightRows& weight, Factor factor, const memory::desc& layout) {
  const bool transposed = factor == Factor::of_forward;
  auto copy = std::make_shared<OnednnCopy>(weight, layout);
  if (const int64_t columns = block_columns(layout); columns > 0) {
    pack_weight({.weight = weight.data,
                 .rows = weight.rows,
                 .columns = weight.columns,
                 .factor = transposed ? PackedFactor::transposed : PackedFactor::not_transposed,
                 .block_columns = columns,
                 .packed = copy->data.as<Bf16>(),
                 .in_file = weight.in_file});
    return copy;
  }
  const memory::dims size =
      transposed ? memory::dims{weight.columns, weight.rows} : memory::dims{weight.rows, weight.columns};
  const memory::desc plain(size, Type::f32, transposed ? Tag::ba : Tag::ab);
  memory from(plain, engine(), const_cast<float*>(weight.data));
  memory to(layout, engine(), copy->data.data());
  dnnl::stream stream(engine());
  dnnl::reorder(from, to).execute(stream, from, to);
  stream.wait();
  return copy;
}

std::shared_ptr<const OnednnCopy> packed(const WeightRows& weight, Factor factor,
                                         const memory::desc& layout) {
  if (weight.packed == nullptr) return pack(weight, factor, layout);
  const PackedWeight::Key key{
      .backend = "oneDNN", .factor = factor, .first_row = weight.first_row, .rows = weight.rows};
  const auto fits = [&](const PackedWeight::Copy& copy) {
    return copy.version == weight.version && copy.source == weight.data &&
           static_cast<const OnednnCopy&>(copy).layout == layout;
  };
  return std::static_pointer_cast<const OnednnCopy>(
      weight.packed->find_or_pack(key, fits, [&] { return pack(weight, factor, layout); }));
}

// A product with a weight, [n, k] x [k, m], in one part or two.
struct WithWeight {
  ConstMatrix first;
  const WeightRows& weight;
  Factor factor;
  const float* bias = nullptr;
  const float* residual = nullptr;
  Matrix result;
};

void run(const WithWeight& call) {
  const bool bf16 = call.first.element == Element::bf16;
  const WeightLayout dense =
      call.factor == Factor::of_forward ? WeightLayout::transposed : WeightLayout::plain;
  const int64_t rows = call.first.rows, at_once = rows_at_once(rows, bf16 && tiles_are_given());
  std::shared_ptr<const OnednnCopy> copy;
  for (int64_t row = 0; row < rows; row += at_once) {
    const int64_t count = std::min(at_once, rows - row);
    const Shape shape{.n = count,
                      .k = call.first.columns,
                      .m = call.result.columns,
                      .factors = type_of(call.first.element),
                      .result = type_of(call.result.element),
                      .weight = bf16 ? WeightLayout::packed : dense,
                      .bias = call.bias != nullptr,
                      .addend = call.residual != nullptr ? Addend::residual : Addend::none,
                      .layout_of_rows = row == 0 ? 0 : at_once};
    Matmul& matmul = matmul_for(shape);
    if (bf16 && copy == nullptr) copy = packed(call.weight, call.factor, matmul.weight_description());
    const auto row_of = [&](const auto& m) { return row * m.columns * bytes_of(m.element); };
    matmul.run({.first = static_cast<const char*>(call.first.data) + row_of(call.first),
                .weight = bf16 ? copy->data.data() : call.weight.data,
                .bias = call.bias,
                .residual = call.residual == nullptr ? nullptr : call.residual + row * call.result.columns,
                .result = static_cast<char*>(call.result.data) + row_of(call.result)});
  }
}

}  // namespace

void onednn_forward(const LinearForward& call) {
  run({.first = call.x,
       .weight = call.weight,
       .factor = Factor::of_forward,
       .bias = call.bias,
       .residual = call.residual,
       .result = call.y});
}

void onednn_dgrad(const LinearDgrad& call) {
  run({.first = call.g, .weight = call.weight, .factor = Factor::of_dgrad, .result = call.dx});
}

void onednn_wgrad(const LinearWgrad& call) {
  const Shape shape{.n = call.g.columns,
                    .k = call.g.rows,
                    .m = call.x.columns,
                    .factors = type_of(call.g.element),
                    .result = Type::f32,
                    .first = Tag::ba,
                    .addend = call.accumulate == Accumulate::yes ? Addend::result : Addend::none};
  matmul_for(shape).run({.first = call.g.data, .weight = call.x.data, .result = call.d_weight});
}

}  // namespace cavmae::kernels
