// cavmae localize: where in the picture the sound is, and where in the sound the picture.
#include <fmt/format.h>

#include "cavmae/eval/localization.h"
#include "cavmae/eval/shown_reconstruction.h"
#include "cavmae/features/image_transform.h"
#include "cavmae/features/media_tensors.h"
#include "cavmae/media/image_writer.h"
#include "cavmae/report/localization_figure.h"

#include "apps/one_clip.h"

namespace cavmae::apps {
namespace {

struct LocalizeFlags {
  OneClipFlags clip;
  std::string frames = "middle";
};

FrameChoice frame_choice(const std::string& text) {
  FrameChoice frames{};
  option_from_json(Json(text), frames, "--frames");
  CAVMAE_CHECK_AS(ConfigError, frames != FrameChoice::random, "--frames: allowed are middle and all");
  return frames;
}

int run_localize(const LocalizeFlags& flags, const GlobalOptions& global) {
  const FrameChoice frames = frame_choice(flags.frames);
  auto log = make_log(global.verbosity());
  const ClipSource clip = flags.clip.source(*log);
  const Pretrained model = flags.clip.model.load(*log);
  CavMae network = model.network();
  const Sample sample = flags.clip.read(clip, model, frames, log);
  CAVMAE_CHECK_AS(MediaError, sample.audio.defined() && sample.video.defined(), clip.id, ": has no ",
                  sample.audio.defined() ? "video" : "audio", "; localization compares the two");
  const torch::Tensor video = sample.video.dim() == 3 ? sample.video.unsqueeze(0) : sample.video;
  LocalizationFigure figure{.title = "Where the sound is: " + clip.id,
                            .pictures = {},
                            .fbanks = {},
                            .num_fbank_frames = sample.audio.size(-2),
                            .found = localize(network, sample.audio, video)};
  const torch::Tensor sounds = sample.audio.dim() == 2 ? sample.audio.unsqueeze(0) : sample.audio;
  for (const torch::Tensor& sound : sounds.unbind(0))
    figure.fbanks.push_back(sound.narrow(0, 0, frames_with_sound(sound)));
  for (const torch::Tensor& picture : video.unbind(0)) figure.pictures.push_back(denormalize_image(picture));
  write_png(flags.clip.out, to_picture(draw_localization(figure)));
  if (flags.clip.json != "-")
    fmt::print("cosine similarity of audio and video: {:.3f}\npicture: {}\n",
               figure.found.of_pictures.mean().item<float>(), flags.clip.out.string());
  Json out = {{"clip", clip.id}, {"precision", enum_name(network->precision())}};
  out.update(to_json(figure.found));
  write_json_result(flags.clip.json, out);
  return 0;
}

}  // namespace

void add_localize(CLI::App& app, Program& program) {
  describe(
      app,
      "Writes a PNG: the cosine similarity between the sound as a whole and each patch of the picture, laid over\n"
      "the picture, and that between the picture as a whole and each patch of the sound, over its spectrogram.\n"
      "Needs a model that was trained with the contrastive loss. In a small network like the demo's the background\n"
      "speaks for the whole picture, and shapes come out darker than it.",
      {"cavmae localize clip.mp4 --checkpoint run --out l.png --frames all --json l.json"});
  auto flags = std::make_shared<LocalizeFlags>();
  flags->clip.add(app, DecoderUse::none);
  app.add_option("--frames", flags->frames, "pictures of the clip: middle, or all, as a strip [middle]")
      ->type_name("");
  app.callback(
      [=, &program] { program.action = [=, &program] { return run_localize(*flags, program.global); }; });
}

}  // namespace cavmae::apps
