#include "apps/model_flags.h"

namespace cavmae::apps {
namespace {

constexpr const char* kOfPth = "Of a checkpoint that does not state it (.pth)";

template <class T>
void read(const std::string& text, std::optional<T>& to, const std::string& flag) {
  if (!text.empty()) option_from_json(Json(text), to, flag);
}

void add_head_flags(CLI::App& app, ModelFlags& flags) {
  app.add_option("--mode", flags.mode, "what the classifier is given: both, audio, video [both]")
      ->type_name("")
      ->group(kOfPth);
  app.add_option("--representation", flags.representation, "what is classified: joint, sum [joint]")
      ->type_name("")
      ->group(kOfPth);
  app.add_option("--scores", flags.scores, "sigmoid (trained with bce) or softmax (ce) [sigmoid]")
      ->type_name("")
      ->group(kOfPth);
}

void add_shape_flags(CLI::App& app, ModelFlags& flags) {
  InputShape& shape = flags.options.shape;
  app.add_option("--num-fbank-frames", shape.num_fbank_frames,
                 "filterbank frames (10 ms each) of a clip, where not those of the training")
      ->type_name("N");
  app.add_option("--image-size", shape.image_size, "side of the picture in pixels, likewise")->type_name("N");
  app.add_option("--window-seconds", shape.window_seconds,
                 "length of the part of a file that makes a clip, likewise")
      ->type_name("SECONDS");
  app.add_flag("--resize-positions", flags.resize_positions,
               "fit the checkpoint's position embeddings to such clips or pictures");
}

}  // namespace

void add_device_flag(CLI::App& app, OptionFlags& flags) {
  flags.add(app, DeviceOptions{}, "How it is computed");
}

DeviceOptions device_options(const OptionFlags& flags) {
  DeviceOptions options;
  flags.apply(options);
  return options;
}

void add_hint_flags(CLI::App& app, InferenceHints& hints) {
  app.add_option("--num-heads", hints.num_heads, "heads of a .pth's encoders [width / 64]")
      ->type_name("N")
      ->group(kOfPth);
  app.add_option("--decoder-num-heads", hints.decoder_num_heads, "heads of a .pth's decoder [16]")
      ->type_name("N")
      ->group(kOfPth);
  app.add_option("--num-mel-bins", hints.num_mel_bins, "mel bins that a .pth was trained with [128]")
      ->type_name("N")
      ->group(kOfPth);
}

void add_labels_flag(CLI::App& app, std::filesystem::path& labels) {
  app.add_option("--labels", labels, "label file (index, mid, display_name) [the checkpoint's own]")
      ->type_name("CSV");
}

void ReadingFlags::add(CLI::App& app) {
  app.add_flag_function(
         "--exif{true},--no-exif{false}", [](int64_t) {},
         "turn photos upright as their EXIF orientation asks, or do not [as the checkpoint was trained]")
      ->each([this](const std::string& value) { exif = value == "true"; });
  app.add_option("--audio-track", audio_track,
                 "which sound track of a file is used, counted from 0 ('none': the default one) [likewise]")
      ->type_name("N");
  app.add_option("--audio-channels", audio_channels,
                 "which channel of a sound is used: first, or mean of all [likewise]")
      ->type_name("");
}

InputReading ReadingFlags::reading() const {
  InputReading out{.exif = exif, .audio_channels = {}, .audio_track = {}};
  read(audio_channels, out.audio_channels, "--audio-channels");
  if (!audio_track.empty())
    option_from_json(option_text_to_json<std::optional<int64_t>>(audio_track, "--audio-track"),
                     out.audio_track.emplace(), "--audio-track");
  return out;
}

void ModelFlags::add(CLI::App& app, HeadUse head) {
  options.head = head;
  app.add_option("--checkpoint", checkpoint,
                 "a run's folder, one of its checkpoints, a .safetensors or a .pth file")
      ->required()
      ->type_name("PATH");
  add_shape_flags(app, *this);
  reading.add(app);
  if (head == HeadUse::if_any) add_head_flags(app, *this);
  add_hint_flags(app, options.hints);
  add_device_flag(app, device_flags);
}

Pretrained ModelFlags::load(Log& log) const {
  LoadOptions load = options;
  read(mode, load.head_hints.mode, "--mode");
  read(representation, load.head_hints.representation, "--representation");
  read(scores, load.head_hints.scores, "--scores");
  load.reading = reading.reading();
  load.positions = resize_positions ? PositionFit::resize : PositionFit::refuse;
  load.runtime.device = device_options(device_flags).device;
  return load_model(checkpoint, load, log);
}

Pretrained load_model(const std::filesystem::path& checkpoint, const LoadOptions& options, Log& log) {
  Pretrained model = load_pretrained(checkpoint, options);
  log.info("model: {}", model.path.string());
  if (!model.states_exif && !options.reading.exif && model.network()->config().has_video())
    log.info(
        "it was trained on photos as they are stored, and gets them so; --exif turns them as their EXIF "
        "orientation asks");
  if (!model.is_classifier() && !model.report.missing.empty())
    log.warn("{} parameters are not in the file and keep their initial value: {}",
             model.report.missing.size(), summarize_names(model.report.missing));
  return model;
}

}  // namespace cavmae::apps
