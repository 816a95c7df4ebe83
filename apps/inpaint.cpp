// cavmae inpaint: hides parts of a clip and shows what the network makes of the rest.
#include <fmt/format.h>

#include "cavmae/core/random.h"
#include "cavmae/media/image_writer.h"
#include "cavmae/report/inpainting_figure.h"

#include "apps/one_clip.h"

namespace cavmae::apps {
namespace {

enum class Hide { parts, audio, video };
std::vector<std::pair<Hide, std::string>> option_names(Hide) {
  return {{Hide::parts, "parts"}, {Hide::audio, "audio"}, {Hide::video, "video"}};
}

struct InpaintOptions {
  Hide hide = Hide::parts;
  std::optional<bool> normalized_targets;
  int64_t seed = 0;

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("hide", o.hide, "parts of both, or all of one modality, which is then rebuilt from the other");
    v("normalized_targets", o.normalized_targets,
      "whether the network was trained on patches without their mean and contrast, true or false "
      "('none': as its run says; true of a file that comes without its run)");
    v("seed", o.seed, "of the masks");
  }
};

struct InpaintFlags {
  OneClipFlags clip;
  OptionFlags options, masks;
};

// What a run's checkpoint tells of how it was trained; defaults where it tells nothing.
struct TrainedWith {
  MaskOptions masks;
  std::optional<bool> normalized_targets;
};

TrainedWith trained_with(const std::filesystem::path& model_file) {
  TrainedWith trained;
  const std::filesystem::path file = model_file.parent_path() / "state.json";
  if (!std::filesystem::exists(file)) return trained;
  const Json config = read_json(file).value("config", Json::object());
  if (config.contains("mask")) option_from_json(config["mask"], trained.masks, file.string());
  if (config.contains("objective") && config["objective"].contains("normalize_targets"))
    trained.normalized_targets = config["objective"]["normalize_targets"].get<bool>();
  return trained;
}

MaskOptions resolve_masks(const InpaintFlags& flags, const InpaintOptions& options,
                          const MaskOptions& trained) {
  MaskOptions masks = trained;
  if (options.hide != Hide::parts) masks.mask_ratio_audio = masks.mask_ratio_video = 0;
  flags.masks.apply(masks);
  if (options.hide != Hide::parts) {
    const bool audio = options.hide == Hide::audio;
    double& ratio = audio ? masks.mask_ratio_audio : masks.mask_ratio_video;
    CAVMAE_CHECK_AS(ConfigError, ratio == 0 || ratio == 1, "--hide ", enum_name(options.hide),
                    " hides all of it; --mask-ratio-", enum_name(options.hide), " ", ratio,
                    " contradicts it");
    ratio = 1;
  }
  masks.validate();
  return masks;
}

void check_possible(const ClipSource& clip, const Sample& sample, const CavMaeConfig& config,
                    const MaskOptions& masks) {
  const bool both = config.has_audio() && config.has_video();
  const bool sees_audio = config.has_audio() && masks.mask_ratio_audio < 1;
  const bool sees_video = config.has_video() && masks.mask_ratio_video < 1;
  CAVMAE_CHECK_AS(ConfigError, sees_audio || sees_video,
                  "everything is hidden, so there is nothing to rebuild from",
                  both ? "" : concat("; this network has ", enum_name(config.modalities), " alone"));
  CAVMAE_CHECK_AS(ConfigError,
                  (config.has_audio() && masks.mask_ratio_audio > 0) ||
                      (config.has_video() && masks.mask_ratio_video > 0),
                  "nothing is hidden, so there is nothing to rebuild; raise a mask ratio or give --hide");
  CAVMAE_CHECK_AS(MediaError, !sees_audio || sample.audio.defined(), clip.id,
                  ": has no sound; '--hide audio' rebuilds it from the picture");
  CAVMAE_CHECK_AS(MediaError, !sees_video || sample.video.defined(), clip.id,
                  ": has no picture; '--hide video' rebuilds it from the sound");
}

int run_inpaint(const InpaintFlags& flags, const GlobalOptions& global) {
  InpaintOptions options;
  flags.options.apply(options);
  auto log = make_log(global.verbosity());
  const ClipSource clip = flags.clip.source(*log);
  ModelToEvaluate model =
      load_for_evaluation(flags.clip.checkpoint, device_options(flags.clip.device_flags), *log);
  const TrainedWith trained = trained_with(model.loaded.path);
  const MaskOptions mask_options = resolve_masks(flags, options, trained.masks);
  const bool normalized = options.normalized_targets.value_or(trained.normalized_targets.value_or(true));
  if (!options.normalized_targets && !trained.normalized_targets)
    log->warn(
        "{}: does not say whether its targets were normalised; assuming they were (--normalized-targets)",
        model.loaded.path.string());

  CavMae& network = model.loaded.model;
  const Sample sample = flags.clip.read(clip, model, FrameChoice::middle);
  check_possible(clip, sample, network->config(), mask_options);
  Inputs inputs;
  if (sample.audio.defined()) inputs.audio = sample.audio.unsqueeze(0);
  if (sample.video.defined()) inputs.video = sample.video.unsqueeze(0);
  const auto generator = at::detail::createCPUGenerator(static_cast<uint64_t>(options.seed));
  const Inpainting inpainting =
      inpaint(network, inputs, network->draw_masks(1, mask_options, generator), normalized);
  const InpaintingFigure figure{
      .title = "Inpainting of " + clip.id,
      .shown = show_reconstruction(inpainting),
      .masks = mask_options,
      .targets = normalized ? TargetNormalization::per_patch : TargetNormalization::none};
  write_png(flags.clip.out, draw_inpainting(figure));

  const InpaintingError error = inpainting_error(inpainting);
  if (flags.clip.json != "-") fmt::print("picture: {}\n", flags.clip.out.string());
  write_json_result(flags.clip.json, {{"clip", clip.id},
                                      {"out", flags.clip.out.string()},
                                      {"mask", option_to_json(mask_options)},
                                      {"seed", options.seed},
                                      {"normalized_targets", normalized},
                                      {"mean_squared_error_audio", error.audio},
                                      {"mean_squared_error_video", error.video}});
  return 0;
}

}  // namespace

void add_inpaint(CLI::App& app, Program& program) {
  describe(
      app,
      "Writes a PNG with the original, what the network sees and what it rebuilds, for picture and spectrogram. With\n"
      "'--hide video' it rebuilds the picture from the sound alone, with '--hide audio' the sound from the picture.\n"
      "Masks are those of the checkpoint's training unless flags say otherwise.",
      {"cavmae inpaint clip.mp4 --checkpoint run --out p.png",
       "cavmae inpaint clip.mp4 --checkpoint run --out p.png --mask-ratio-audio 0.5 --audio-mask-mode time"});
  auto flags = std::make_shared<InpaintFlags>();
  flags->clip.add(app);
  flags->options.add(app, InpaintOptions{}, "Inpainting");
  flags->masks.add(app, MaskOptions{}, "Inpainting");
  app.callback(
      [=, &program] { program.action = [=, &program] { return run_inpaint(*flags, program.global); }; });
}

}  // namespace cavmae::apps
