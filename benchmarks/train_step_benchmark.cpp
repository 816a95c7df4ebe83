// Pretraining steps on random inputs: masks, forward, backward, Adam. Prints one JSON object with the median
// times and the process's peak memory.
//
//   train_step_benchmark [--config default | FILE.json] [--dtype fp32|bf16] [--batch 8] [--steps 3]
//   [--threads N]
//
// FILE.json is a configuration as `cavmae pretrain --config` takes it; its "model", "mask" and "objective"
// are used.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include <ATen/Parallel.h>

#include "cavmae/core/error.h"
#include "cavmae/core/machine.h"
#include "cavmae/core/options.h"
#include "cavmae/train/adam.h"
#include "cavmae/train/pretraining_task.h"

namespace cavmae {
namespace {

struct Settings {
  std::string config = "default";
  Precision dtype = Precision::fp32;
  int64_t batch = 8;
  int64_t steps = 3;
  int64_t threads = 0;

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("config", o.config, "'default' or a configuration file");
    v("dtype", o.dtype, "precision");
    v("batch", o.batch, "clips in a batch");
    v("steps", o.steps, "steps that are timed");
    v("threads", o.threads, "threads of the tensor operators (0: one a core)");
  }
};

Settings parse(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    CAVMAE_CHECK_AS(ConfigError, flag.starts_with("--") && set_option(settings, flag.substr(2), argv[i + 1]),
                    "unknown flag '", flag, "'; there are --config, --dtype, --batch, --steps and --threads");
  }
  CAVMAE_CHECK_AS(ConfigError, argc % 2 == 1, "'", argv[argc - 1], "' needs a value");
  return settings;
}

class Stopwatch {
 public:
  // Seconds since the last lap.
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

struct Work {
  CavMaeConfig model;
  ObjectiveOptions objective;
  MaskOptions mask;
};

Work read_work(const std::string& config) {
  Work work;
  if (config == "default") return work;
  const Json json = read_json(config);
  const auto take = [&](const char* key, auto& options) {
    if (json.contains(key)) option_from_json(json[key], options, config + ": " + key);
  };
  take("model", work.model);
  take("mask", work.mask);
  if (json.contains("objective") && json["objective"].contains("contrastive_weight"))
    work.objective.contrastive_weight = json["objective"]["contrastive_weight"].get<double>();
  return work;
}

Json measure(const Settings& settings) {
  const Work work = read_work(settings.config);
  CavMae model(work.model);
  initialize(model, 1);
  model->set_precision(settings.dtype);
  ParameterGroup group;
  for (const auto& item : model->named_parameters()) group.parameters.emplace_back(item.key(), item.value());
  Adam adam({group}, OptimizerOptions{});
  PretrainingTask task(model, work.objective, work.mask);
  auto generator = at::detail::createCPUGenerator(2);
  const auto normal = [&](torch::IntArrayRef sizes) { return torch::empty(sizes).normal_(0, 1, generator); };
  const Inputs inputs{.audio = normal({settings.batch, work.model.num_fbank_frames, work.model.num_mel_bins}),
                      .video = normal({settings.batch, 3, work.model.image_size, work.model.image_size})};

  std::map<std::string, std::vector<double>> seconds;
  for (int64_t step = -1; step < settings.steps; ++step) {  // step -1 warms up
    Stopwatch watch;
    const auto result = task.training_forward(inputs, generator);
    const double forward = watch.lap();
    result.loss.backward();
    const double backward = watch.lap();
    adam.step({.lr = 1e-5});
    adam.release_gradients();
    const double optimizer = watch.lap();
    if (step < 0) continue;
    seconds["forward"].push_back(forward);
    seconds["backward"].push_back(backward);
    seconds["optimizer"].push_back(optimizer);
    seconds["step"].push_back(forward + backward + optimizer);
  }
  Json out = option_to_json(settings);
  for (const auto& [phase, values] : seconds) out[phase + "_seconds"] = median(values);
  out["samples_per_second"] = static_cast<double>(settings.batch) / median(seconds["step"]);
  out["peak_memory_bytes"] = static_cast<int64_t>(peak_resident_bytes());
  return out;
}

int run(int argc, char** argv) {
  const Settings settings = parse(argc, argv);
  tune_process({.num_threads = settings.threads});
  std::cout << measure(settings).dump() << "\n";
  return 0;
}

}  // namespace
}  // namespace cavmae

int main(int argc, char** argv) {
  try {
    return cavmae::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
