#include "cavmae/kernels/matmul.h"

#include "cavmae/core/error.h"
#include "cavmae/kernels/tile_matmul.h"
#include "cavmae/kernels/tiles.h"
#include "cavmae/kernels/versions.h"
#include "cavmae/kernels/wgrad_gemm.h"
#include "cavmae/machine/kernel_table.h"

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

// Of those that pay the last is taken.
constexpr MatmulBackend kMatmulBackends[] = {
    {"BLAS", Element::f32, Isa::baseline, Isa::baseline, nullptr, blas_forward, blas_dgrad, blas_wgrad},
    {"bf16 via fp32", Element::bf16, Isa::baseline, Isa::baseline, nullptr, forward_via_fp32, dgrad_via_fp32,
     wgrad_via_fp32},
#ifdef CAVMAE_HAS_ONEDNN
    {"oneDNN", Element::f32, Isa::baseline, Isa::avx512, nullptr, onednn_forward, onednn_dgrad, onednn_wgrad},
    {"oneDNN", Element::bf16, Isa::avx512, Isa::avx512_bf16, onednn_bf16_trouble, onednn_forward,
     onednn_dgrad, onednn_wgrad},
#endif
#ifdef CAVMAE_X86_KERNELS
    {"wgrad_gemm", Element::bf16, Isa::avx512_bf16, Isa::avx512_bf16, nullptr, nullptr, nullptr,
     wgrad_by_gemm},
    {"AMX", Element::bf16, Isa::amx_bf16, Isa::amx_bf16, [] { return tiles_trouble(); },
     [](const LinearForward& call) { tile_forward(call, native_tile_kernels()); },
     [](const LinearDgrad& call) { tile_dgrad(call, native_tile_kernels()); },
     [](const LinearWgrad& call) { tile_wgrad(call, native_tile_kernels()); }},
#endif
};

bool is_right(const MatmulBackend& backend) {
  return backend.trouble == nullptr || backend.trouble().empty();
}

MatmulBackends choose(Element element) {
  const auto best = [&](auto job) {
    return best_version(kMatmulBackends, [&](const MatmulBackend& backend) {
      return backend.element == element && backend.*job != nullptr && usable_isa().has(backend.pays_with) &&
             is_right(backend);
    });
  };
  return {.forward = best(&MatmulBackend::forward),
          .dgrad = best(&MatmulBackend::dgrad),
          .wgrad = best(&MatmulBackend::wgrad)};
}

}  // namespace

std::vector<const MatmulBackend*> usable_matmul_backends(Element element) {
  std::vector<const MatmulBackend*> usable;
  for (const MatmulBackend* backend : usable_versions(kMatmulBackends))
    if (backend->element == element && is_right(*backend)) usable.push_back(backend);
  return usable;
}

const MatmulBackends& best_matmul_backends(Element element) {
  if (element == Element::f32) {
    static const MatmulBackends f32 = choose(Element::f32);
    return f32;
  }
  static const MatmulBackends bf16 = choose(Element::bf16);
  return bf16;
}

std::string matmul_backend_warning() {
  if (!usable_isa().has(Isa::avx512_bf16)) return "";
  const std::string trouble = onednn_bf16_trouble();
  if (trouble.empty()) return "";
  return concat("this processor has bf16 products, but oneDNN's are not used: ", trouble,
                "; bf16 runs at the speed of fp32");
}

bool bf16_matmul_is_faster() {
  return usable_isa().has(Isa::avx512_bf16) && onednn_bf16_trouble().empty();
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
