#include "apps/model_flags.h"

#include "cavmae/kernels/engines.h"
#include "cavmae/nn/engines.h"

#include "apps/engines.h"

namespace cavmae::apps {
namespace {

constexpr const char* kOfPth = "Of a checkpoint that does not state it (.pth)";

template <class T>
void read(const std::string& text, std::optional<T>& to, const std::string& flag) {
  if (!text.empty()) option_from_json(Json(text), to, flag);
}

void add_head_flags(CLI::App& app, ModelFlags& flags) {
  app.add_option("--mode", flags.mode, "what the classifier is given: both, audio, video")
      ->type_name("")
      ->group(kOfPth);
  app.add_option("--representation", flags.representation, "what is classified: joint, sum, global [joint]")
      ->type_name("")
      ->group(kOfPth);
  app.add_option("--scores", flags.scores, "sigmoid (trained with bce) or softmax (ce)")
      ->type_name("")
      ->group(kOfPth);
}

void add_hint_flags(CLI::App& app, InferenceHints& hints, DecoderUse decoder) {
  app.add_option("--num-heads", hints.num_heads, "heads of the encoders [12 at width 768]")
      ->type_name("N")
      ->group(kOfPth);
  CLI::Option* of_decoder = app.add_option("--decoder-num-heads", hints.decoder_num_heads,
                                           "heads of the decoder [16 at width 512]");
  of_decoder->type_name("N")->group(decoder == DecoderUse::none ? "" : kOfPth);
  app.add_option("--num-mel-bins", hints.num_mel_bins,
                 "mel bins of the filterbank [as the position embeddings show]")
      ->type_name("N")
      ->group(kOfPth);
  app.add_option("--audio-window-frames", hints.audio_window_frames,
                 "filterbank frames of the segment that belongs to a picture, or 0 for whole clips")
      ->type_name("N")
      ->group(kOfPth);
}

void add_shape_flags(CLI::App& app, ModelFlags& flags) {
  InputShape& shape = flags.options.shape;
  app.add_option("--num-fbank-frames", shape.num_fbank_frames,
                 "filterbank frames (10 ms each) of a clip, where not those of the training")
      ->type_name("N");
  app.add_option("--image-size", shape.image_size, "side of the picture in pixels, likewise")->type_name("N");
  CLI::Option* resize = app.add_option(
      "--resize-positions", flags.resize_positions,
      "fit the checkpoint's position embeddings to such clips or pictures; where they were trained: "
      "trim (keep those of the first part of the sound; also when the flag stands alone) or "
      "interpolate");
  resize->type_name("");
  let_stand_alone(app, *resize, kResizePositions, [&flags] { flags.resize_positions = "none"; });
}

void log_network(const Pretrained& model, Log& log) {
  if (model.copies.empty()) return;
  std::string others;
  for (const std::string& place : model.copies)
    others += (others.empty() ? "'" : ", '") + (place.empty() ? "." : place) + "'";
  log.info("it holds the network several times; taken is '{}', others are {} (--network)",
           model.network_in_file.empty() ? "." : model.network_in_file, others);
}

void log_precision(PrecisionChoice choice, Precision precision, Log& log) {
  if (choice == PrecisionChoice::automatic && precision == Precision::bf16)
    log.info(
        "computed in bf16, which is faster here; --precision fp32 gives the same numbers on every machine");
}

void log_report(const LoadReport& report, Log& log) {
  if (!report.missing.empty())
    log.warn("{} parameters are not in the file and keep random initial values: {}", report.missing.size(),
             summarize_names(report.missing));
  if (!report.unexpected.empty())
    log.warn("{} tensors of the file have no place in the network and are left out: {}",
             report.unexpected.size(), summarize_names(report.unexpected));
  for (const std::string& table : report.resized) log.info("positions fitted: {}", table);
}

}  // namespace

void add_precision_flag(CLI::App& app, std::string& precision) {
  app.add_option("--precision", precision,
                 "what the network computes in: fp32, bf16, or auto (bf16 where this machine computes it "
                 "faster) [" +
                     precision + "]")
      ->type_name("")
      ->group("How it is computed");
}

PrecisionChoice precision_choice(const std::string& precision) {
  PrecisionChoice choice{};
  option_from_json(Json(precision), choice, "--precision");
  return choice;
}

void add_runtime_flags(CLI::App& app, OptionFlags& flags) {
  flags.add(app, InferenceOptions{}, "How it is computed");
}

RuntimeOptions runtime_options(const OptionFlags& flags) {
  InferenceOptions options;
  flags.apply(options);
  return options.runtime();
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

void ModelFlags::add(CLI::App& app, HeadUse head, DecoderUse decoder) {
  app.add_option("--checkpoint", checkpoint,
                 "a run's folder, one of its checkpoints, a .safetensors or a .pth file")
      ->required()
      ->type_name("PATH");
  add_shape_flags(app, *this);
  reading.add(app);
  add_file_flags(app, head, decoder);
  add_precision_flag(app, precision);
  add_runtime_flags(app, runtime_flags);
}

void ModelFlags::add_file_flags(CLI::App& app, HeadUse head, DecoderUse decoder) {
  options.head = head;
  options.decoder = decoder;
  app.add_option(
         "--network", options.network,
         "which network of a .pth that holds several (averaged ones beside it), by the keys that lead to it")
      ->type_name("KEYS");
  app.add_flag(
      "--allow-partial", allow_partial,
      "take a checkpoint that lacks parameters, which keep random values, or has tensors without a place");
  app.add_option("--window-seconds", options.shape.window_seconds,
                 "length of the part of a file that makes a clip, where not as in the training")
      ->type_name("SECONDS");
  if (head == HeadUse::if_any) add_head_flags(app, *this);
  add_hint_flags(app, options.hints, decoder);
  app.add_option("--fbank-mean", options.shape.fbank_mean, "mean of the filterbanks that it was trained with")
      ->type_name("X")
      ->group(kOfPth);
  app.add_option("--fbank-std", options.shape.fbank_std, "their standard deviation")
      ->type_name("X")
      ->group(kOfPth);
}

LoadOptions ModelFlags::load_options() const {
  LoadOptions load = options;
  read(mode, load.head_hints.mode, "--mode");
  read(representation, load.head_hints.representation, "--representation");
  read(scores, load.head_hints.scores, "--scores");
  load.reading = reading.reading();
  option_from_json(Json(resize_positions), load.positions, "--resize-positions");
  load.partial = allow_partial ? PartialFile::allow : PartialFile::refuse;
  load.precision = precision_choice(precision);
  load.runtime = runtime_options(runtime_flags);
  return load;
}

Pretrained ModelFlags::load(Log& log) const {
  return load_model(checkpoint, load_options(), log);
}

Pretrained ModelFlags::load(Log& log, const RankOfLaunch& rank) const {
  return load_model_of_rank(checkpoint, load_options(), log, rank);
}

Pretrained ModelFlags::load_for(size_t num_clips, Log& log, const RankOfLaunch& rank) const {
  constexpr size_t kFewClips = 64;
  LoadOptions load = load_options();
  load.shares_memory_of_file = num_clips <= kFewClips;
  load.finite = FiniteCheck::by_caller;
  return load_model_of_rank(checkpoint, load, log, rank);
}

Pretrained load_model_of_rank(const std::filesystem::path& checkpoint, LoadOptions options, Log& log,
                              const RankOfLaunch& rank) {
  choose_device(options.runtime.device, rank.local_rank);
  Pretrained model = load_model(checkpoint, options, log);
  take_kernels_of_first(model, options.precision, rank.world);
  return model;
}

Pretrained load_model(const std::filesystem::path& checkpoint, const LoadOptions& options, Log& log) {
  Pretrained model = load_pretrained(checkpoint, options);
  log.info("model: {}", model.path.string());
  if (!model.described_in.empty())
    log.info("what it does not say is taken from {}", model.described_in.string());
  log_precision(options.precision, model.network()->precision(), log);
  if (!options.runtime.engine.empty())
    log.info("computed by {}", kernels::engines_in_use(element_of(model.network()->precision())));
  warn_of_slow_precision(options.precision, options.runtime, log);
  log_network(model, log);
  log_assumed(model.assumed, model.path, log);
  if (!model.states_exif && !options.reading.exif && model.network()->config().has_video())
    log.info(
        "it was trained on photos as they are stored, and gets them so; --exif turns them as their EXIF "
        "orientation asks");
  log_report(model.report, log);
  return model;
}

void log_assumed(const std::vector<UnstatedOption>& assumed, const std::filesystem::path& file, Log& log) {
  if (assumed.empty()) return;
  log.info(
      "{} does not say how it was built and fed; its tensors are those of the authors' models, whose values are taken: {}",
      file.filename().string(), list_of(assumed));
}

}  // namespace cavmae::apps
