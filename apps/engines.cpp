#include "apps/engines.h"

#include <vector>

#include <fmt/format.h>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/core/text.h"
#include "cavmae/kernels/engine_names.h"
#include "cavmae/kernels/engines.h"
#include "cavmae/kernels/matmul.h"
#include "cavmae/nn/engines.h"

namespace cavmae::apps {
namespace {

// Those that this machine has of what a run recorded; what it says of each of the others goes to `lacking`.
std::string usable_engines(const std::string& recorded, kernels::Element element,
                           std::vector<std::string>& lacking) {
  std::string usable;
  for (const std::string& engine : split(recorded, ',')) {
    const std::string with = usable.empty() ? engine : usable + "," + engine;
    try {
      kernels::use_engines(with, element);
      usable = with;
    } catch (const ConfigError& error) {
      lacking.emplace_back(error.what());
    }
  }
  kernels::use_engines(usable, element);
  return usable;
}

void take_own_engines(Precision precision, RuntimeOptions& runtime, const EngineOrigin& origin, Log& log) {
  RuntimeOptions given = runtime;
  if (origin.is_resumed) given.engine = origin.given;
  use_given_engines(given, precision);
  if (!has_engines(runtime)) {
    runtime.engine.clear();
    return;
  }
  const kernels::Element element = element_of(precision);
  if (origin.is_resumed) {
    std::vector<std::string> lacking;
    usable_engines(runtime.engine, element, lacking);
    if (!lacking.empty())
      log.warn(
          "{}. The run began with what is missing here; it goes on with this machine's own, and no longer "
          "number for number",
          fmt::join(lacking, "; "));
  }
  runtime.engine = kernels::engines_in_use(element);
}

// Of every rank its precision and engines, "bf16 forward=..."; "bf16 " where there is nothing to choose. Each
// rank takes the engines of rank 0, where that has its precision: what differs otherwise is compared later.
// Returns rank 0's engines.
std::string take_engines_of_first(Precision precision, const std::string& own, World& world) {
  const std::string name = concat(enum_name(precision), " ");
  const std::string first = gather_texts(world, name + own).front();
  std::string wrong;
  const std::string engines = first.starts_with(name) ? first.substr(name.size()) : "";
  if (!own.empty() && !engines.empty() && own != engines) {
    try {
      kernels::use_engines(engines, element_of(precision));
    } catch (const ConfigError& error) {
      wrong = error.what();
    }
  }
  const std::vector<std::string> all = gather_texts(world, wrong);
  for (size_t rank = 0; rank < all.size(); ++rank)
    CAVMAE_CHECK_AS(ConfigError, all[rank].empty(), "rank 0 computes with ",
                    first.substr(first.find(' ') + 1), ", which rank ", rank, " cannot: ", all[rank],
                    "; give all ranks an --engine or a CAVMAE_ISA that every host has");
  return own.empty() || engines.empty() ? own : engines;
}

}  // namespace

void warn_of_slow_precision(PrecisionChoice precision, const RuntimeOptions& runtime, Log& log) {
  if (precision == PrecisionChoice::fp32 || !parse_device(runtime.device).is_cpu()) return;
  if (const std::string warning = kernels::matmul_backend_warning(); !warning.empty())
    log.warn("{}", warning);
}

void warn_of_slow_precision(Precision precision, const RuntimeOptions& runtime, Log& log) {
  warn_of_slow_precision(precision == Precision::bf16 ? PrecisionChoice::bf16 : PrecisionChoice::fp32,
                         runtime, log);
}

std::string engines_of_resumed(const Compute& saved, const Compute& now, const std::string& given) {
  const bool is_same = saved.precision == now.precision && saved.runtime.kernels == now.runtime.kernels;
  return is_same ? kernels::merged_engines(given, saved.runtime.engine) : given;
}

void take_engines(Precision precision, RuntimeOptions& runtime, const EngineOrigin& origin, World& world,
                  Log& log) {
  take_own_engines(precision, runtime, origin, log);
  if (world.size() == 1) return;
  world.wait_for_all();
  runtime.engine = take_engines_of_first(precision, runtime.engine, world);
}

void take_kernels_of_first(Pretrained& model, PrecisionChoice choice, World& world) {
  if (world.size() == 1) return;
  world.wait_for_all();
  CavMae network = model.network();
  const std::string first = gather_texts(world, enum_name(network->precision())).front();
  Precision precision = network->precision();
  if (choice == PrecisionChoice::automatic && first != enum_name(precision)) {
    option_from_json(Json(first), precision, "rank 0's precision");
    network->set_precision(precision);
  }
  const std::string own =
      has_engines(network->runtime()) ? kernels::engines_in_use(element_of(precision)) : "";
  take_engines_of_first(precision, own, world);
}

}  // namespace cavmae::apps
