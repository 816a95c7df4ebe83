#include "cavmae/kernels/engines.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "cavmae/core/error.h"
#include "cavmae/isa/tiles.h"
#include "cavmae/kernels/engine_names.h"
#include "cavmae/kernels/flash_attention.h"
#include "cavmae/kernels/matmul.h"
#include "cavmae/kernels/versions.h"

namespace cavmae::kernels {
namespace {

constexpr double kOverrules = 1.3;

EngineNames& named_engines(Element element) {
  static EngineNames f32, bf16;
  return element == Element::f32 ? f32 : bf16;
}

std::string describe(const Engine& engine, const InstructionRates& rates) {
  return fmt::format("{}, {:.0f} GFLOP/s a core", instruction_name(engine.speed.instruction),
                     engine.speed.gflops(rates));
}

EngineChoice choose_by_speed(std::span<const Engine> engines, const InstructionRates& rates) {
  size_t last = 0;
  for (size_t i = 0; i < engines.size(); ++i)
    if (engines[i].pays) last = i;
  const Engine& of_table = engines[last];
  size_t best = last;
  double most = kOverrules * of_table.speed.gflops(rates);
  for (size_t i = 0; i < engines.size(); ++i) {
    const Speed& speed = engines[i].speed;
    if (!engines[i].pays || speed.instruction == of_table.speed.instruction || speed.gflops(rates) <= most)
      continue;
    most = speed.gflops(rates);
    best = i;
  }
  if (best == last) return {.index = last, .reason = describe(of_table, rates)};
  return {.index = best,
          .reason = concat(describe(engines[best], rates), "; ", of_table.name, " would reach ",
                           describe(of_table, rates))};
}

void choose_all(Element element) {
  choose_matmul_backends(element);
  choose_attention_kernel(element);
}

}  // namespace

std::string job_name(Job job) {
  switch (job) {
    case Job::forward:
      return "forward";
    case Job::dgrad:
      return "dgrad";
    case Job::wgrad:
      return "wgrad";
    case Job::attention:
      break;
  }
  return "attention";
}

const EngineMachine& this_machine() {
  static const EngineMachine kMachine = {
      .isa = usable_isa(),
      .rates = instruction_rates(),
      .tiles_trouble = [] { return tiles_trouble(); },
      .onednn_bf16_trouble =
          [] {
#ifdef CAVMAE_HAS_ONEDNN
            static const std::string kTrouble = try_onednn_bf16();
            return kTrouble;
#else
            return std::string("this cavmae was built without oneDNN (CAVMAE_ONEDNN=OFF)");
#endif
          },
  };
  return kMachine;
}

EngineChoice choose_engine(Job job, Element element, std::span<const Engine> engines,
                           const InstructionRates& rates) {
  const EngineNames& names = named_engines(element);
  if (const auto named = names.find(job); named != names.end()) {
    const auto engine = std::ranges::find(engines, named->second, &Engine::name);
    CAVMAE_CHECK_AS(ConfigError, engine != engines.end(), "engines: this machine or build has no '",
                    named->second, "' for ", job_name(job), " in ", element == Element::f32 ? "fp32" : "bf16",
                    "; it has ", engines_here(job, element).text());
    return {.index = static_cast<size_t>(engine - engines.begin()), .reason = "named"};
  }
  return choose_by_speed(engines, rates);
}

void use_engines(const std::string& text, Element element) {
  EngineNames before = std::exchange(named_engines(element), parse_engines(text));
  try {
    choose_all(element);
  } catch (...) {
    named_engines(element) = std::move(before);
    choose_all(element);
    throw;
  }
}

std::string engines_in_use(Element element) {
  const MatmulBackends& matmul = best_matmul_backends(element);
  return fmt::format("forward={},dgrad={},wgrad={},attention={}", matmul.forward->name, matmul.dgrad->name,
                     matmul.wgrad->name, best_attention_kernel(element).name);
}

}  // namespace cavmae::kernels
