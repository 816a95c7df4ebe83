#include "cavmae/kernels/matmul.h"

#include <optional>
#include <tuple>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/kernels/tile_matmul.h"
#include "cavmae/kernels/versions.h"
#include "cavmae/kernels/wgrad_gemm.h"

namespace cavmae::kernels {
namespace {

void wgrad_by_gemm(const LinearWgrad& call) {
  wgrad_gemm({.g = call.g.bf16(),
              .x = call.x.bf16(),
              .n = call.g.rows,
              .m = call.g.columns,
              .k = call.x.columns,
              .sums = call.d_weight,
              .accumulate = call.accumulate});
}

bool has_tiles(const EngineMachine& machine) {
  return machine.isa.has(Isa::amx_bf16) && machine.tiles_trouble().empty();
}

// Shares of an instruction's rate: docs/performance.md.
Speed of_fp32(const EngineMachine& /*machine*/) {
  return {Instruction::fp32_fma, 0.85};
}
Speed of_widened(const EngineMachine& /*machine*/) {
  return {Instruction::fp32_fma, 0.75};
}
#ifdef CAVMAE_HAS_ONEDNN
// oneDNN takes tiles where it is given them.
Speed of_onednn(const EngineMachine& machine) {
  if (has_tiles(machine)) return {Instruction::tdpbf16ps, 0.3};
  return {Instruction::vdpbf16ps, 0.85};
}
std::string trouble_with_onednn_bf16(const EngineMachine& machine) {
  return machine.onednn_bf16_trouble();
}
#endif
Speed of_wgrad_gemm(const EngineMachine& /*machine*/) {
  return {Instruction::vdpbf16ps, 0.9};
}
Speed of_tiles(const EngineMachine& /*machine*/) {
  return {Instruction::tdpbf16ps, 0.45};
}
Speed of_emulated_tiles(const EngineMachine& /*machine*/) {
  return {Instruction::fp32_fma, 0.01};
}

std::string trouble_with_tiles(const EngineMachine& machine) {
  return machine.tiles_trouble();
}

constexpr MatmulBackend kMatmulBackends[] = {
    {"blas", Element::f32, Isa::baseline, Isa::baseline, of_fp32, nullptr, blas_forward, blas_dgrad,
     blas_wgrad},
    {"via_fp32", Element::bf16, Isa::baseline, Isa::baseline, of_widened, nullptr, forward_via_fp32,
     dgrad_via_fp32, wgrad_via_fp32},
#ifdef CAVMAE_HAS_ONEDNN
    {"onednn", Element::f32, Isa::baseline, Isa::avx512, of_fp32, nullptr, onednn_forward, onednn_dgrad,
     onednn_wgrad},
    {"onednn", Element::bf16, Isa::avx512, Isa::avx512_bf16, of_onednn, trouble_with_onednn_bf16,
     onednn_forward, onednn_dgrad, onednn_wgrad},
#endif
#ifdef CAVMAE_X86_KERNELS
    {"wgrad_gemm", Element::bf16, Isa::avx512_bf16, Isa::avx512_bf16, of_wgrad_gemm, nullptr, nullptr,
     nullptr, wgrad_by_gemm},
    {"amx", Element::bf16, Isa::amx_bf16, Isa::amx_bf16, of_tiles, trouble_with_tiles,
     [](const LinearForward& call) { tile_forward(call, native_tile_kernels()); },
     [](const LinearDgrad& call) { tile_dgrad(call, native_tile_kernels()); },
     [](const LinearWgrad& call) { tile_wgrad(call, native_tile_kernels()); }},
#endif
    // amx's code without tiles.
    {"emulated_tiles", Element::bf16, Isa::baseline, std::nullopt, of_emulated_tiles, nullptr,
     [](const LinearForward& call) { tile_forward(call, emulated_tile_kernels()); },
     [](const LinearDgrad& call) { tile_dgrad(call, emulated_tile_kernels()); },
     [](const LinearWgrad& call) { tile_wgrad(call, emulated_tile_kernels()); }},
};

std::vector<const MatmulBackend*> usable_on(const EngineMachine& machine, Element element) {
  std::vector<const MatmulBackend*> usable;
  for (const MatmulBackend& backend : kMatmulBackends)
    if (machine.isa.has(backend.needs) && backend.element == element &&
        (backend.trouble == nullptr || backend.trouble(machine).empty()))
      usable.push_back(&backend);
  return usable;
}

template <class Function>
std::pair<const MatmulBackend*, std::string> choose_backend(const EngineMachine& machine, Job job,
                                                            Element element,
                                                            Function MatmulBackend::*function) {
  std::vector<const MatmulBackend*> backends;
  std::vector<Engine> engines;
  for (const MatmulBackend* backend : usable_on(machine, element)) {
    if (backend->*function == nullptr) continue;
    backends.push_back(backend);
    engines.push_back({.name = backend->name,
                       .speed = backend->speed(machine),
                       .pays = backend->pays_with && machine.isa.has(*backend->pays_with)});
  }
  EngineChoice choice = choose_engine(job, element, engines, machine.rates);
  return {backends[choice.index], std::move(choice.reason)};
}

// Multiplies by instructions for bf16.
bool is_of_bf16(const MatmulBackend& backend, const EngineMachine& machine) {
  return backend.speed(machine).instruction != Instruction::fp32_fma;
}

MatmulBackends& chosen_backends(Element element) {
  if (element == Element::f32) {
    static MatmulBackends f32 = matmul_backends_on(this_machine(), Element::f32);
    return f32;
  }
  static MatmulBackends bf16 = matmul_backends_on(this_machine(), Element::bf16);
  return bf16;
}

}  // namespace

MatmulBackends matmul_backends_on(const EngineMachine& machine, Element element) {
  MatmulBackends chosen;
  std::tie(chosen.forward, chosen.why_forward) =
      choose_backend(machine, Job::forward, element, &MatmulBackend::forward);
  std::tie(chosen.dgrad, chosen.why_dgrad) =
      choose_backend(machine, Job::dgrad, element, &MatmulBackend::dgrad);
  std::tie(chosen.wgrad, chosen.why_wgrad) =
      choose_backend(machine, Job::wgrad, element, &MatmulBackend::wgrad);
  chosen.forward_by_tiles = chosen.forward->speed(machine).instruction == Instruction::tdpbf16ps;
  return chosen;
}

std::vector<const MatmulBackend*> usable_matmul_backends(Element element) {
  return usable_on(this_machine(), element);
}

const MatmulBackends& best_matmul_backends(Element element) {
  return chosen_backends(element);
}

void choose_matmul_backends(Element element) {
  chosen_backends(element) = matmul_backends_on(this_machine(), element);
}

std::string matmul_backend_warning(const EngineMachine& machine) {
  const auto warning = [&](const char* what, const std::string& trouble) {
    const bool is_faster = is_of_bf16(*matmul_backends_on(machine, Element::bf16).forward, machine);
    return concat("this processor has ", what, ", but they are not used: ", trouble,
                  is_faster ? "" : "; bf16 runs at the speed of fp32");
  };
  if (machine.isa.has(Isa::amx_bf16) && !has_tiles(machine))
    return warning("tiles (AMX)", machine.tiles_trouble());
  if (!machine.isa.has(Isa::avx512_bf16) || machine.onednn_bf16_trouble().empty()) return "";
  return warning("bf16 products by oneDNN", machine.onednn_bf16_trouble());
}

bool bf16_matmul_is_faster() {
  return is_of_bf16(*best_matmul_backends(Element::bf16).forward, this_machine());
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
