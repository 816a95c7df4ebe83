#include "apps/evaluation.h"

#include "cavmae/models/model_input.h"

namespace cavmae::apps {
namespace {

ModelToEvaluate load_on(const EvaluationFlags& flags, const DeviceOptions& where, Log& log) {
  const torch::Device device = resolve_device(where.device);
  const auto positions = flags.resize_positions ? PositionFit::resize : PositionFit::refuse;
  ModelToEvaluate result{.loaded = load_model(flags.checkpoint, flags.shape, positions), .spec = {}};
  result.spec = input_spec(result.loaded.model->config(), result.loaded.spec.value_or(InputSpec{}));
  result.spec.window_seconds = flags.window_seconds.value_or(result.spec.window_seconds);
  result.spec.validate();
  log.info("model: {}", result.loaded.path.string());
  if (!result.loaded.missing.empty())
    log.warn("{} parameters are not in the file and keep their initial value: {}",
             result.loaded.missing.size(), summarize_names(result.loaded.missing));
  result.loaded.model->to(device);
  return result;
}

}  // namespace

void EvaluationFlags::add(CLI::App& app) {
  app.add_option("--checkpoint", checkpoint,
                 "a run's folder, one of its checkpoints, a .safetensors or a .pth file")
      ->required()
      ->type_name("PATH");
  app.add_option("--data", data, "clips: a folder, a list, a manifest, or a file; may be given several times")
      ->type_name("PATH");
  app.add_option("--cache", cache, "folder that keeps decoded clips, so that the next time is quick")
      ->type_name("DIR");
  app.add_option("--frames", frames, "pictures of a clip: middle, or all (their mean) [middle]")
      ->type_name("");
  app.add_option("--window-start", window_start,
                 "pin the window's start in longer files, in seconds [the middle]")
      ->type_name("");
  app.add_option("--num-fbank-frames", shape.num_fbank_frames,
                 "filterbank frames (10 ms each) of a clip, where not those of the training")
      ->type_name("N");
  app.add_option("--image-size", shape.image_size, "side of the picture in pixels, likewise")->type_name("N");
  app.add_option("--window-seconds", window_seconds,
                 "length of the part of a file that makes a clip, likewise")
      ->type_name("SECONDS");
  app.add_flag("--resize-positions", resize_positions,
               "fit the checkpoint's position embeddings to such clips or pictures");
  add_device_flag(app, device_flags);
  loader.batch_size = 16;
  loader_flags.add(app, loader, "Reading clips");
}

PassOptions EvaluationFlags::pass_options(const GlobalOptions& global) const {
  PassOptions options;
  options.loader = loader;
  loader_flags.apply(options.loader);
  option_from_json(Json(frames), options.view.frames, "--frames");
  CAVMAE_CHECK_AS(ConfigError, options.view.frames != FrameChoice::random,
                  "--frames: allowed are middle and all");
  option_from_json(option_text_to_json<std::optional<double>>(window_start, "--window-start"),
                   options.view.window_start, "--window-start");
  options.cache_dir = cache;
  options.show_progress = !global.quiet;
  return options;
}

void add_device_flag(CLI::App& app, OptionFlags& flags) {
  flags.add(app, DeviceOptions{}, "How it is computed");
}

DeviceOptions device_options(const OptionFlags& flags) {
  DeviceOptions options;
  flags.apply(options);
  return options;
}

ModelToEvaluate load_for_evaluation(const EvaluationFlags& flags, Log& log) {
  return load_on(flags, flags.device(), log);
}

ModelToEvaluate load_for_evaluation(const std::filesystem::path& checkpoint, const DeviceOptions& device,
                                    Log& log) {
  EvaluationFlags flags;
  flags.checkpoint = checkpoint;
  return load_on(flags, device, log);
}

void report_failed(const std::vector<BadClip>& failed, Log& log) {
  if (failed.empty()) return;
  log.warn("{} clip{} could not be read:", failed.size(), failed.size() == 1 ? "" : "s");
  for (const BadClip& clip : failed) log.warn("  {}: {}", clip.id, clip.reason);
}

}  // namespace cavmae::apps
