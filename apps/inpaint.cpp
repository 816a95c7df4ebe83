// cavmae inpaint: hides parts of a clip and shows what the network makes of the rest.
#include <fmt/format.h>

#include "cavmae/core/random.h"
#include "cavmae/eval/inpainting_masks.h"
#include "cavmae/eval/model.h"
#include "cavmae/features/media_tensors.h"
#include "cavmae/media/image_writer.h"
#include "cavmae/report/inpainting_figure.h"
#include "cavmae/train/trained_with.h"

#include "apps/one_clip.h"

namespace cavmae::apps {
namespace {

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

int run_inpaint(const InpaintFlags& flags, const GlobalOptions& global) {
  InpaintOptions options;
  flags.options.apply(options);
  auto log = make_log(global.verbosity());
  const ClipSource clip = flags.clip.source(*log);
  const Pretrained model = flags.clip.model.load(*log);
  MaskOptions mask_options;
  std::optional<bool> normalized_targets = options.normalized_targets;
  if (const auto trained = training_of(model.path).pretraining) {
    mask_options = trained->mask;
    if (!normalized_targets) normalized_targets = trained->objective.normalize_targets;
  }
  mask_options = masks_before_user(options.hide, mask_options);
  flags.masks.apply(mask_options);
  mask_options = hide_wholly(options.hide, mask_options);
  const bool normalized = normalized_targets.value_or(true);
  if (!normalized_targets)
    log->warn(
        "{}: does not say whether its targets were normalised; assuming they were (--normalized-targets)",
        model.path.string());

  CavMae network = model.network();
  const Sample sample = flags.clip.read(clip, model, FrameChoice::middle, log);
  check_inpainting(clip.id, sample, network->config(), mask_options);
  const Inputs inputs = batch_of_one(sample);
  const auto generator = at::detail::createCPUGenerator(static_cast<uint64_t>(options.seed));
  const Inpainting inpainting =
      inpaint(network, inputs, network->draw_masks(1, mask_options, generator), normalized);
  const InpaintingFigure figure{
      .title = "Inpainting of " + clip.id,
      .shown = show_reconstruction(inpainting),
      .masks = mask_options,
      .targets = normalized ? TargetNormalization::per_patch : TargetNormalization::none};
  write_png(flags.clip.out, to_picture(draw_inpainting(figure)));

  const InpaintingError error = inpainting_error(inpainting);
  if (flags.clip.json != "-") fmt::print("picture: {}\n", flags.clip.out.string());
  write_json_result(flags.clip.json, {{"clip", clip.id},
                                      {"out", flags.clip.out.string()},
                                      {"mask", option_to_json(mask_options)},
                                      {"seed", options.seed},
                                      {"precision", enum_name(network->precision())},
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
      "'--hide video' it rebuilds the video from the audio alone, with '--hide audio' the audio from the video.\n"
      "Masks are those of the checkpoint's training unless flags say otherwise.",
      {"cavmae inpaint clip.mp4 --checkpoint run --out p.png",
       "cavmae inpaint clip.mp4 --checkpoint run --out p.png --mask-ratio-audio 0.5 --audio-mask-mode time"});
  auto flags = std::make_shared<InpaintFlags>();
  flags->clip.add(app, DecoderUse::if_any);
  flags->options.add(app, InpaintOptions{}, "Inpainting");
  flags->masks.add(app, MaskOptions{}, "Inpainting");
  app.callback(
      [=, &program] { program.action = [=, &program] { return run_inpaint(*flags, program.global); }; });
}

}  // namespace cavmae::apps
