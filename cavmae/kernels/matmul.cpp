#include "cavmae/kernels/matmul.h"

#include <tuple>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/isa/kernel_table.h"
#include "cavmae/kernels/tile_matmul.h"
#include "cavmae/kernels/versions.h"
#include "cavmae/kernels/wgrad_gemm.h"

namespace cavmae::kernels {
namespace {

// How bf16 products by oneDNN fared when they were tried; "" where they may be used.
std::string onednn_bf16_trouble() {
#ifdef CAVMAE_HAS_ONEDNN
  static const std::string trouble = try_onednn_bf16();
  return trouble;
#else
  return "this cavmae was built without oneDNN (CAVMAE_ONEDNN=OFF)";
#endif
}

void wgrad_by_gemm(const LinearWgrad& call) {
  wgrad_gemm({.g = call.g.bf16(),
              .x = call.x.bf16(),
              .n = call.g.rows,
              .m = call.g.columns,
              .k = call.x.columns,
              .sums = call.d_weight,
              .accumulate = call.accumulate});
}

// Shares of an instruction's rate: docs/performance.md.
Speed of_fp32() {
  return {Instruction::fp32_fma, 0.85};
}
Speed of_widened() {
  return {Instruction::fp32_fma, 0.75};
}
// oneDNN takes tiles where it is given them.
Speed of_onednn() {
  if (tiles_trouble().empty()) return {Instruction::tdpbf16ps, 0.3};
  return {Instruction::vdpbf16ps, 0.85};
}
Speed of_wgrad_gemm() {
  return {Instruction::vdpbf16ps, 0.9};
}
Speed of_tiles() {
  return {Instruction::tdpbf16ps, 0.45};
}

constexpr MatmulBackend kMatmulBackends[] = {
    {"blas", Element::f32, Isa::baseline, Isa::baseline, of_fp32, nullptr, blas_forward, blas_dgrad,
     blas_wgrad},
    {"via_fp32", Element::bf16, Isa::baseline, Isa::baseline, of_widened, nullptr, forward_via_fp32,
     dgrad_via_fp32, wgrad_via_fp32},
#ifdef CAVMAE_HAS_ONEDNN
    {"onednn", Element::f32, Isa::baseline, Isa::avx512, of_fp32, nullptr, onednn_forward, onednn_dgrad,
     onednn_wgrad},
    {"onednn", Element::bf16, Isa::avx512, Isa::avx512_bf16, of_onednn, onednn_bf16_trouble, onednn_forward,
     onednn_dgrad, onednn_wgrad},
#endif
#ifdef CAVMAE_X86_KERNELS
    {"wgrad_gemm", Element::bf16, Isa::avx512_bf16, Isa::avx512_bf16, of_wgrad_gemm, nullptr, nullptr,
     nullptr, wgrad_by_gemm},
    {"amx", Element::bf16, Isa::amx_bf16, Isa::amx_bf16, of_tiles, [] { return tiles_trouble(); },
     [](const LinearForward& call) { tile_forward(call, native_tile_kernels()); },
     [](const LinearDgrad& call) { tile_dgrad(call, native_tile_kernels()); },
     [](const LinearWgrad& call) { tile_wgrad(call, native_tile_kernels()); }},
#endif
};

bool is_right(const MatmulBackend& backend) {
  return backend.trouble == nullptr || backend.trouble().empty();
}

template <class Function>
std::pair<const MatmulBackend*, std::string> choose_backend(Job job, Element element,
                                                            Function MatmulBackend::*function) {
  std::vector<const MatmulBackend*> backends;
  std::vector<Engine> engines;
  for (const MatmulBackend* backend : usable_matmul_backends(element)) {
    if (backend->*function == nullptr) continue;
    backends.push_back(backend);
    engines.push_back(
        {.name = backend->name, .speed = backend->speed(), .pays = usable_isa().has(backend->pays_with)});
  }
  EngineChoice choice = choose_engine(job, element, engines);
  return {backends[choice.index], std::move(choice.reason)};
}

MatmulBackends choose_backends(Element element) {
  MatmulBackends chosen;
  std::tie(chosen.forward, chosen.why_forward) =
      choose_backend(Job::forward, element, &MatmulBackend::forward);
  std::tie(chosen.dgrad, chosen.why_dgrad) = choose_backend(Job::dgrad, element, &MatmulBackend::dgrad);
  std::tie(chosen.wgrad, chosen.why_wgrad) = choose_backend(Job::wgrad, element, &MatmulBackend::wgrad);
  return chosen;
}

MatmulBackends& chosen_backends(Element element) {
  if (element == Element::f32) {
    static MatmulBackends f32 = choose_backends(Element::f32);
    return f32;
  }
  static MatmulBackends bf16 = choose_backends(Element::bf16);
  return bf16;
}

}  // namespace

std::vector<const MatmulBackend*> usable_matmul_backends(Element element) {
  std::vector<const MatmulBackend*> usable;
  for (const MatmulBackend* backend : usable_versions(kMatmulBackends))
    if (backend->element == element && is_right(*backend)) usable.push_back(backend);
  return usable;
}

const MatmulBackends& best_matmul_backends(Element element) {
  return chosen_backends(element);
}

void choose_matmul_backends(Element element) {
  chosen_backends(element) = choose_backends(element);
}

std::string matmul_backend_warning() {
  const auto warning = [](const char* what, const std::string& trouble) {
    return concat("this processor has ", what, ", but they are not used: ", trouble,
                  bf16_matmul_is_faster() ? "" : "; bf16 runs at the speed of fp32");
  };
  if (usable_isa().has(Isa::amx_bf16) && !tiles_trouble().empty())
    return warning("tiles (AMX)", tiles_trouble());
  if (!usable_isa().has(Isa::avx512_bf16) || onednn_bf16_trouble().empty()) return "";
  return warning("bf16 products by oneDNN", onednn_bf16_trouble());
}

bool bf16_matmul_is_faster() {
  return best_matmul_backends(Element::bf16).forward->speed().instruction != Instruction::fp32_fma;
}

void linear_forward(const LinearForward& call) {
  best_matmul_backends(call.x.element).forward->forward(call);
}

void linear_dgrad(const LinearDgrad& call) {
  best_matmul_backends(call.g.element).dgrad->dgrad(call);
}

void linear_wgrad(const LinearWgrad& call) {
  best_matmul_backends(call.g.element).wgrad->wgrad(call);
}

}  // namespace cavmae::kernels
