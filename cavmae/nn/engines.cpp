#include "cavmae/nn/engines.h"

#include "cavmae/core/error.h"
#include "cavmae/kernels/engines.h"

namespace cavmae {

kernels::Element element_of(Precision precision) {
  return precision == Precision::bf16 ? kernels::Element::bf16 : kernels::Element::f32;
}

bool has_engines(const RuntimeOptions& runtime) {
  return runtime.kernels == Kernels::fused && parse_device(runtime.device).is_cpu();
}

void use_given_engines(const RuntimeOptions& runtime, Precision precision) {
  if (!has_engines(runtime)) {
    CAVMAE_CHECK_AS(ConfigError, runtime.engine.empty(),
                    "--engine chooses among the project's own kernels, which compute on the CPU with "
                    "--kernels fused alone; leave it out");
    return;
  }
  kernels::use_engines(runtime.engine, element_of(precision));
}

}  // namespace cavmae
