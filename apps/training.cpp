#include "apps/training.h"

#include <fmt/format.h>

#include "cavmae/kernels/engines.h"
#include "cavmae/kernels/matmul.h"

namespace cavmae::apps {

void TrainingFlags::add(CLI::App& app) {
  app.add_option("--config", config, "a built-in configuration or a JSON file [" + config + "]")
      ->type_name("NAME|FILE");
  app.add_option("--data", paths.data, "clips to learn from; may be given several times")->type_name("PATH");
  app.add_option("--val", paths.val, "clips to validate on")->type_name("PATH");
  app.add_option("--out", paths.out, "folder that receives the run")->type_name("DIR");
  app.add_option("--cache", paths.cache,
                 "folder that keeps decoded clips, so that a second epoch decodes nothing")
      ->type_name("DIR");
  app.add_flag("--resume", resume, "go on with the run in --out from its last checkpoint");
  app.add_flag("--report,!--no-report", report, "write report.html at the end [true]");
  lists.add(app);
  dist.add(app);
  app.add_flag("--print-config", print_config, "print the resolved configuration and leave");
}

RunPaths TrainingFlags::resolved_paths() const {
  RunPaths resolved = paths;
  resolved.start = resume ? RunStart::resume : RunStart::fresh;
  resolved.lists = lists.options();
  if (!resume) return resolved;
  const RunPaths saved = read_run_paths(paths.out);
  if (resolved.data.empty()) resolved.data = saved.data;
  if (resolved.val.empty()) resolved.val = saved.val;
  if (resolved.cache.empty()) resolved.cache = saved.cache;
  resolved.lists = lists.options(saved.lists);
  return resolved;
}

void TrainingFlags::check(const RunPaths& paths) {
  CAVMAE_CHECK_AS(ConfigError, !paths.out.empty(), "--out is needed: the folder that receives the run");
  CAVMAE_CHECK_AS(ConfigError, !paths.data.empty(), "--data is needed: a folder, list or manifest of clips");
}

void settle_batch_size(const TrainingFlags& flags, const Launch& launch, RunOptions& options,
                       std::optional<int64_t> saved) {
  int64_t& batch = options.loader.batch_size;
  if (!saved) {
    batch *= launch.size;
    return;
  }
  if (launch.size > 1 && flags.options.given().contains("batch_size")) {
    CAVMAE_CHECK_AS(ConfigError, batch * launch.size == *saved, "--batch-size ", batch, " on ", launch.size,
                    " ranks makes a batch of ", batch * launch.size, " clips, the run has ", *saved,
                    "; leave it out: the batch is shared by the ranks that there are");
    batch = *saved;
  }
}

std::string first_line(const RankOfLaunch& rank, const RunOptions& options, const std::string& contrast) {
  if (rank.description.empty()) return "";
  const int64_t batch = options.loader.batch_size, ranks = rank.world.size();
  const std::string most = batch % ranks == 0 ? "" : fmt::format(" or {}", batch / ranks + 1);
  return fmt::format("{}; a batch is {}{} clips of each rank, {} in all{}{}", rank.description, batch / ranks,
                     most, batch, contrast.empty() ? "" : "; ", contrast);
}

void warn_of_slow_precision(Precision precision, const RuntimeOptions& runtime, Log& log) {
  if (precision != Precision::bf16 || !parse_device(runtime.device).is_cpu()) return;
  if (const std::string warning = kernels::matmul_backend_warning(); !warning.empty())
    log.warn("{}", warning);
}

kernels::Element element_of(Precision precision) {
  return precision == Precision::bf16 ? kernels::Element::bf16 : kernels::Element::f32;
}

EngineOrigin engine_origin(const TrainingFlags& flags) {
  return flags.resume && !flags.options.given().contains("engine") ? EngineOrigin::recorded
                                                                   : EngineOrigin::given;
}

namespace {

void take_own_engines(Precision precision, RuntimeOptions& runtime, EngineOrigin origin, Log& log) {
  if (runtime.kernels != Kernels::fused || !parse_device(runtime.device).is_cpu()) {
    CAVMAE_CHECK_AS(ConfigError, runtime.engine.empty() || origin == EngineOrigin::recorded,
                    "--engine chooses among the project's own kernels, which compute on the CPU with "
                    "--kernels fused alone; leave it out");
    runtime.engine.clear();
    return;
  }
  const kernels::Element element = element_of(precision);
  try {
    kernels::use_engines(runtime.engine, element);
  } catch (const ConfigError& error) {
    if (origin == EngineOrigin::given) throw;
    log.warn("{}. The run began with it; it goes on with this machine's own, and no longer number for number",
             error.what());
    kernels::use_engines("", element);
  }
  runtime.engine = kernels::engines_in_use(element);
}

// Says what is wrong with rank 0's on this rank, or nothing.
std::string take_engines_of_first(const std::string& first, Precision precision, RuntimeOptions& runtime) {
  if (runtime.engine.empty() || first.empty() || runtime.engine == first) return "";
  try {
    kernels::use_engines(first, element_of(precision));
  } catch (const ConfigError& error) {
    return error.what();
  }
  runtime.engine = first;
  return "";
}

}  // namespace

void take_engines(Precision precision, RuntimeOptions& runtime, EngineOrigin origin, World& world, Log& log) {
  take_own_engines(precision, runtime, origin, log);
  if (world.size() == 1) return;
  world.wait_for_all();
  // Of another precision there are other engines; the ranks' options are compared later.
  const std::string name = enum_name(precision) + " ";
  const std::string first = gather_texts(world, name + runtime.engine).front();
  const std::string wrong =
      first.starts_with(name) ? take_engines_of_first(first.substr(name.size()), precision, runtime) : "";
  const std::vector<std::string> all = gather_texts(world, wrong);
  for (size_t rank = 0; rank < all.size(); ++rank)
    CAVMAE_CHECK_AS(ConfigError, all[rank].empty(), "rank 0 computes with ", first.substr(name.size()),
                    ", which rank ", rank, " cannot: ", all[rank],
                    "; give all ranks an --engine that every host has");
}

void print_summary(const RunResult& result, const std::filesystem::path& out, const std::string& command) {
  fmt::print("{} steps over {} clips in {}\n", result.steps, result.samples,
             human_duration(result.elapsed_seconds));
  fmt::print("checkpoint: {}\n", result.last_checkpoint.string());
  if (!result.averaged_checkpoint.empty()) fmt::print("averaged: {}\n", result.averaged_checkpoint.string());
  if (result.interrupted)
    fmt::print("Stopped and saved. Go on with: cavmae {} --out {} --resume\n", command, out.string());
}

}  // namespace cavmae::apps
