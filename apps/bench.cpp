// cavmae bench: how fast this machine takes steps of a network, part by part, beside its own peak.
#include <algorithm>
#include <ctime>
#include <iostream>

#include <fmt/format.h>

#include "cavmae/core/files.h"
#include "cavmae/core/parallel.h"
#include "cavmae/core/progress.h"
#include "cavmae/machine/machine.h"
#include "cavmae/train/step_profile.h"

#include "apps/bench_peak.h"
#include "apps/command.h"
#include "apps/configs.h"
#include "apps/dist_flags.h"
#include "apps/training.h"

namespace cavmae::apps {
namespace {

struct BenchFlags {
  std::string config = "cav-mae";
  int64_t steps = 5;
  bool follow = false;
  bool overlap = true;
  std::filesystem::path json;
  OptionFlags profile, recipe;
  DistFlags dist;
};

struct BenchResult {
  ProfileOptions options;
  RuntimeOptions runtime;
  std::string config;
  int64_t steps = 0;
  int64_t ranks = 1;
  std::string launch;  // the ranks, described; empty: a process alone
  bool overlap = true;
  StepProfile step;  // the median one
  double gflop_per_clip = 0.0;
  PeakInUse peak;
  double memory_bytes = 0.0;  // at most, of the device that computes

  double clips_per_second() const {  // of all ranks
    return static_cast<double>(options.batch_size * ranks) / step.seconds;
  }
  double gflops() const {  // of a rank
    return gflop_per_clip * clips_per_second() / static_cast<double>(ranks);
  }
};

void print_row(const std::string& name, const PartProfile& part, double step_seconds, double peak_gflops) {
  fmt::print("{:<22}{:>10.1f}{:>8.1f}", name, 1e3 * part.seconds, 100 * part.seconds / step_seconds);
  if (part.gflop > 0)
    fmt::print("{:>10.1f}{:>10.1f}{:>8.1f}", part.gflop, part.gflop / part.seconds,
               100 * part.gflop / part.seconds / peak_gflops);
  fmt::print("\n");
}

// A part and what lies inside it: every path that begins with "NAME/".
PartProfile with_inner_parts(const StepProfile& step, const std::string& name) {
  PartProfile sum{.part = name};
  for (const PartProfile& part : step.parts) {
    if (part.part != name && !part.part.starts_with(name + "/")) continue;
    sum.seconds += part.seconds;
    sum.gflop += part.gflop;
  }
  return sum;
}

std::vector<std::string> outer_parts(const StepProfile& step) {
  std::vector<std::string> names;
  for (const PartProfile& part : step.parts) {
    const std::string name = part.part.substr(0, part.part.find('/'));
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  return names;
}

void print_parts(const StepProfile& step, double peak_gflops) {
  fmt::print("{:<22}{:>10}{:>8}{:>10}{:>10}{:>8}\n", "part", "ms", "share %", "GFLOP", "GFLOP/s", "% peak");
  for (const std::string& outer : outer_parts(step)) {
    print_row(outer, with_inner_parts(step, outer), step.seconds, peak_gflops);
    for (const PartProfile& part : step.parts)
      if (part.part.starts_with(outer + "/"))
        print_row("  " + part.part.substr(outer.size() + 1), part, step.seconds, peak_gflops);
  }
}

// A GPU has none of the project's own.
Kernels kernels_in_use(const RuntimeOptions& runtime) {
  const bool on_gpu = runtime.kernels == Kernels::fused && !parse_device(runtime.device).is_cpu();
  return on_gpu ? Kernels::library : runtime.kernels;
}

std::string device_name(const MachineInfo& machine, const std::string& device) {
  const torch::Device on = parse_device(device);
  const auto index = static_cast<size_t>(std::max<int>(on.index(), 0));
  return on.is_cpu() || index >= machine.gpus.size() ? machine.cpu_model : machine.gpus[index].name;
}

void print(const BenchResult& result) {
  const MachineInfo machine = inspect_machine();
  const PeakInUse& peak = result.peak;
  fmt::print("{}, {}, batch {}, {}, {} kernels{}, {} thread{} on {}; the median of {} step{}\n",
             result.config, enum_name(result.options.mode), result.options.batch_size,
             enum_name(result.options.precision), enum_name(kernels_in_use(result.runtime)),
             result.runtime.recompute ? ", recomputing" : "", machine.torch_threads,
             machine.torch_threads == 1 ? "" : "s", device_name(machine, result.runtime.device), result.steps,
             result.steps == 1 ? "" : "s");
  if (!result.launch.empty()) fmt::print("{}\n", result.launch);
  if (!result.runtime.engine.empty()) fmt::print("engines        {}\n", result.runtime.engine);
  print_parts(result.step, peak.gflops);
  PartProfile total{.part = "total",
                    .seconds = result.step.seconds,
                    .gflop = result.gflop_per_clip * static_cast<double>(result.options.batch_size)};
  print_row("total", total, result.step.seconds, peak.gflops);
  if (result.ranks > 1)
    fmt::print("exchange       {:.1f} ms a step, {:.1f} % of it, {}\n", 1e3 * result.step.exchange_seconds,
               100 * result.step.exchange_seconds / result.step.seconds,
               result.overlap ? "beyond what the backward pass hides" : "without overlap");
  fmt::print("peak           {:.1f} GFLOP/s ({})\n", peak.gflops, peak.name);
  fmt::print("speed          {:.3f} clips/s{}, {:.2f} GFLOP a clip\n", result.clips_per_second(),
             result.ranks > 1 ? fmt::format(" of {} ranks", result.ranks) : "", result.gflop_per_clip);
  fmt::print("memory         {} at most\n", human_bytes(result.memory_bytes));
}

Json parts_of(const StepProfile& step) {
  Json parts = Json::array();
  for (const PartProfile& part : step.parts)
    parts.push_back({{"part", part.part}, {"seconds", part.seconds}, {"gflop", part.gflop}});
  return parts;
}

Json to_json(const BenchResult& result) {
  const PeakInUse& peak = result.peak;
  Json out = option_to_json(result.options);
  out.update(option_to_json(result.runtime));
  out["batch"] = result.options.batch_size;  // as it was called
  out["dtype"] = enum_name(result.options.precision);
  out["pictures"] = result.options.num_frames;
  out["kernels"] = enum_name(kernels_in_use(result.runtime));
  out["config"] = result.config;
  out["machine"] = cavmae::to_json(inspect_machine());
  out["threads"] = at::get_num_threads();
  out["steps"] = result.steps;
  out["step_seconds"] = result.step.seconds;
  out["samples_per_second"] = result.clips_per_second();
  out["gflop_per_sample"] = result.gflop_per_clip;
  out["gflops"] = result.gflops();
  out["ranks"] = result.ranks;
  if (result.ranks > 1) {
    out["overlap"] = result.overlap;
    out["exchange_seconds"] = result.step.exchange_seconds;
    out["exchange_share"] = result.step.exchange_seconds / result.step.seconds;
  }
  out["peak_gflops"] = peak.gflops;
  out["peak_instructions"] = peak.name;
  out["peak_share"] = result.gflops() / peak.gflops;
  out["peak_memory_bytes"] = static_cast<int64_t>(result.memory_bytes);
  out["parts"] = parts_of(result.step);
  return out;
}

// At most so far; LibTorch keeps what a GPU's tensors took.
double memory_in_use(torch::Device device) {
  if (device.is_cpu()) return peak_resident_bytes();
  return static_cast<double>(gpu_bytes_in_use().value_or(0));
}

// Whether rank 0 was given another line.
bool another_line(const RankOfLaunch& rank) {
  std::string line;
  const torch::Tensor more = torch::zeros({1}, torch::kInt64);
  if (rank.is_first() && std::getline(std::cin, line)) more.fill_(1);
  rank.world.broadcast(more, 0);
  return more.item<int64_t>() != 0;
}

// A step for each line of standard input, for a script that takes turns between programs.
int follow(StepProfiler& profiler, const RuntimeOptions& runtime, const RankOfLaunch& rank) {
  const auto say = [&](const Json& json) {
    if (rank.is_first()) std::cout << json.dump() << std::endl;
  };
  profiler.step();  // warms up
  say({{"ready", true}, {"gflop_per_sample", profiler.gflop_per_clip()}, {"engine", runtime.engine}});
  while (another_line(rank)) {
    const std::clock_t before = std::clock();
    const StepProfile step = profiler.step();
    say({{"seconds", step.seconds},
         {"cpu_seconds", static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC},
         {"exchange_seconds", step.exchange_seconds},
         {"parts", parts_of(step)}});
  }
  say({{"peak_memory_bytes", static_cast<int64_t>(memory_in_use(parse_device(runtime.device)))}});
  rank.leave();
  return 0;
}

int bench(const BenchFlags& flags, const GlobalOptions& global, const RankOfLaunch& rank) {
  CAVMAE_CHECK_AS(ConfigError, flags.steps >= 1, "--steps: ", flags.steps, "; it must be at least 1");
  PretrainOptions recipe;
  const NamedConfig config = find_config(flags.config);
  option_from_json(config.json, recipe, config.where);
  flags.recipe.apply(recipe);
  recipe.overlap = flags.overlap;
  choose_device(recipe.runtime.device, rank.local_rank);
  recipe.validate();
  ProfileOptions options;
  flags.profile.apply(options);
  const auto log = make_log(verbosity_of(rank, global));
  warn_of_slow_precision(options.precision, recipe.runtime, *log);
  take_engines(options.precision, recipe.runtime, EngineOrigin{}, rank.world, *log);
  BenchResult result{.options = options,
                     .runtime = recipe.runtime,
                     .config = flags.config,
                     .steps = flags.steps,
                     .ranks = rank.world.size(),
                     .launch = rank.description,
                     .overlap = flags.overlap,
                     .step = {},
                     .peak = {}};
  StepProfiler profiler(recipe, result.options, rank.world);
  if (flags.follow) return follow(profiler, recipe.runtime, rank);

  Progress progress({.title = "measuring",
                     .unit = "steps",
                     .total = flags.steps + 1,
                     .quiet = global.quiet || !rank.is_first()});
  profiler.step();  // warms up
  std::vector<StepProfile> steps;
  while (static_cast<int64_t>(steps.size()) < flags.steps) {
    progress.update(static_cast<int64_t>(steps.size()) + 1);
    steps.push_back(profiler.step());
  }
  progress.update(flags.steps + 1);
  progress.finish();
  rank.leave();
  if (!rank.is_first()) return 0;
  result.step = median_step(std::move(steps));
  result.gflop_per_clip = profiler.gflop_per_clip();
  const torch::Device device = parse_device(result.runtime.device);
  result.memory_bytes = memory_in_use(device);  // before the peak's own matrices
  result.peak = measure_peak_of(device, result.options.precision);
  if (flags.json != "-") print(result);
  write_json_result(flags.json, to_json(result));
  return 0;
}

int run(const BenchFlags& flags, const GlobalOptions& global) {
  const Launch launch = flags.dist.launch();
  return on_ranks(flags.dist, launch, global,
                  [&](const RankOfLaunch& rank) { return bench(flags, global, rank); });
}

}  // namespace

void add_bench(CLI::App& app, Program& program) {
  describe(
      app,
      "Takes steps on random inputs, without reading clips, and prints for each part of the network its time, its\n"
      "arithmetic (forward and backward, what the result needs), and its share of the peak that the same run measures.",
      {"cavmae bench --mode embed --batch-size 1 --threads 1 --json bench.json",
       "cavmae bench --device cuda --precision bf16 --batch-size 256     on a GPU: the step as a whole",
       "mpirun -np 2 cavmae bench --threads 1 --batch-size 8     two ranks that train together, and what they exchange"});
  auto flags = std::make_shared<BenchFlags>();
  app.add_option("--config", flags->config, "a built-in configuration or a JSON file [cav-mae]")
      ->type_name("NAME|FILE");
  app.add_option("--steps", flags->steps, "steps that are timed, after one that warms up [5]")->type_name("");
  app.add_flag(
      "--follow", flags->follow,
      "take a step for each line of standard input (of rank 0) and print its seconds as JSON (all threads' together as cpu_seconds)");
  app.add_flag("--overlap,!--no-overlap", flags->overlap,
               "of several ranks: sum gradients while the backward pass goes on [true]");
  add_json_flag(app, flags->json);
  flags->dist.add(app);
  flags->profile.add(app, ProfileOptions{}, "What is measured");
  flags->profile.add_alias(app, "batch_size", "--batch");
  flags->profile.add_alias(app, "precision", "--dtype");
  flags->profile.add_alias(app, "num_frames", "--pictures");
  flags->profile.add_value_alias("mode", "features", "embed");
  flags->recipe.add(app, RuntimeOptions{}, "How it is computed");
  flags->recipe.add(app, CavMaeConfig{}, "Network");
  flags->recipe.add(app, MaskOptions{}, "Masks");
  app.callback([=, &program] { program.action = [=, &program] { return run(*flags, program.global); }; });
}

}  // namespace cavmae::apps
