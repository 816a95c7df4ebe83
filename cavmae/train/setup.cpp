#include "cavmae/train/setup.h"

#include "cavmae/core/random.h"

namespace cavmae {

uint64_t run_seed(const RunOptions& options, SeedUse use) {
  return mix_seed({static_cast<uint64_t>(options.seed), static_cast<uint64_t>(use)});
}

CavMae make_model(const PretrainOptions& options) {
  CavMae model(options.model);
  initialize(model, run_seed(options, SeedUse::parameters));
  model->set_precision(options.precision);
  model->set_runtime(options.runtime);
  model->to(resolve_device(options.runtime.device));
  return model;
}

std::unique_ptr<Teacher> make_teacher(const PretrainOptions& options, int64_t total_steps) {
  if (!options.teacher.wanted()) return nullptr;
  return std::make_unique<Teacher>(options.teacher, first_ranked_step(options, total_steps));
}

int64_t first_ranked_step(const PretrainOptions& options, int64_t total_steps) {
  return options.teacher.ranking_from_step.value_or(warmup_of(options.schedule, total_steps));
}

std::optional<InitialReport> load_initial_parameters(CavMae& model, const RunOptions& options) {
  if (options.init.empty()) return std::nullopt;
  return load_initial_parameters(
      *model, model->config(), options.init,
      {.network = options.network,
       .positions = options.resize_positions.fit,
       .partial = options.allow_partial ? PartialFile::allow : PartialFile::refuse});
}

Need needed_of_clips(Modalities modalities) {
  switch (modalities) {
    case Modalities::audio:
      return Need::audio;
    case Modalities::video:
      return Need::video;
    case Modalities::both:
      break;
  }
  return Need::both;
}

int64_t steps_per_epoch(const RunOptions& options, int64_t clips) {
  const int64_t batches = clips / options.loader.batch_size;
  return (batches + options.gradient_accumulation - 1) / options.gradient_accumulation;
}

int64_t steps_of_run(const RunOptions& options, int64_t clips) {
  return steps_per_epoch(options, clips) * options.epochs;
}

double count_millions(CavMae& model, ValueCount which) {
  int64_t count = 0;
  for (const auto& tensor : model->parameters())
    if (which == ValueCount::all || tensor.requires_grad()) count += tensor.numel();
  return static_cast<double>(count) / 1e6;
}

}  // namespace cavmae
