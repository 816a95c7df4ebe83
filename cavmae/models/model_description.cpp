#include "cavmae/models/model_description.h"

#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/models/image_mae.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSyncPictures = 16;
constexpr int64_t kAudioSetClasses = 527, kVggSoundClasses = 309;

// Whether the network has the widths and inputs of Gong et al.'s models, whatever its streams and depths.
bool is_authors_shape(const CavMaeConfig& config) {
  return config.embed_dim == 768 && config.patch_size == 16 &&
         (!config.has_audio() || (config.num_mel_bins == 128 && config.num_fbank_frames == 1024)) &&
         (!config.has_video() || config.image_size == 224);
}

// The file in which the metadata stand.
fs::path stated_in(const ModelFile& contents, const fs::path& file) {
  return contents.described_in.empty() ? file : contents.described_in;
}

template <class T>
void require_same(const std::optional<T>& hint, const Json& stated, const std::string& option,
                  const std::string& where) {
  CAVMAE_CHECK_AS(ConfigError, !hint || !stated.contains(option) || stated[option] == *hint, where,
                  ": states ", option, " ", stated.value(option, Json()).dump(), "; ", *hint,
                  " was given, which is for files that do not state it");
}

// The hints and what the file states; they may not differ.
InferenceHints joined_hints(const InferenceHints& given, const Json& stated, const std::string& where) {
  InferenceHints hints = given;
  if (!stated.is_object()) return hints;
  const auto join = [&](const char* option, std::optional<int64_t>& hint) {
    require_same(hint, stated, option, where);
    if (stated.contains(option)) option_from_json(stated[option], hint, where + ": " + option);
  };
  join("num_heads", hints.num_heads);
  join("decoder_num_heads", hints.decoder_num_heads);
  join("num_mel_bins", hints.num_mel_bins);
  // Which is absent where it is 0.
  Json with_segments = stated;
  if (stated.contains("num_fbank_frames")) with_segments.emplace("audio_window_frames", 0);
  require_same(hints.audio_window_frames, with_segments, "audio_window_frames", where);
  if (with_segments.contains("audio_window_frames"))
    hints.audio_window_frames = with_segments["audio_window_frames"].get<int64_t>();
  return hints;
}

void describe_network(ModelDescription& out, const ModelFile& contents, const InferenceHints& given) {
  const fs::path where = stated_in(contents, out.path);
  const Json stated = metadata_json(contents, "model", where);
  const InferenceHints hints = joined_hints(given, stated, where.string());
  if (!stated.is_null() && contents.described_in.empty()) {
    out.config = *stated_config(contents, where);
    return;
  }
  CAVMAE_CHECK_AS(
      CheckpointError, !is_image_mae(contents.tensors), out.path.string(),
      ": is an image MAE, which takes no audio; make a CAV-MAE of it with 'cavmae pretrain --init' or 'cavmae finetune --init'");
  InferredConfig inferred = infer_config(contents.tensors, hints, out.path.string());
  out.config = inferred.config;
  out.unstated = std::move(inferred.unstated);
  if (stated.is_null()) return;
  option_from_json(stated, out.config, where.string() + ": model");
  out.config.validate();
}

// A description beside a .pth may state some of the fields alone.
void describe_inputs(ModelDescription& out, const ModelFile& contents) {
  const fs::path where = stated_in(contents, out.path);
  const Json stated = metadata_json(contents, "features", where);
  out.spec = stated_input(contents, where).value_or(InputSpec{});
  out.states_spec = !stated.is_null();
  out.states_exif = states_exif(contents, where);
  if (!out.states_exif) out.spec.exif = false;
  const bool authors = is_authors_shape(out.config), whole = out.states_spec && contents.described_in.empty();
  const auto describe = [&](const char* option, double value, bool used) {
    if (!used || whole || (stated.is_object() && stated.contains(option))) return;
    out.unstated.push_back({.name = option, .value = Json(value).dump(), .confirmed = authors});
  };
  describe("fbank_mean", out.spec.fbank_mean, out.config.has_audio());
  describe("fbank_std", out.spec.fbank_std, out.config.has_audio());
  describe("window_seconds", out.spec.window_seconds, true);
  const auto stated_here = [&](const char* option) { return stated.is_object() && stated.contains(option); };
  if (out.config.audio_window_frames == 0 || stated_here("alignment")) return;
  // CAV-MAE Sync: each of 16 pictures has a segment of its own.
  out.spec.audio_window_frames = out.config.audio_window_frames;
  out.spec.alignment = Alignment::picture;
  const auto taken = [&](const char* option, const std::string& value) {
    if (authors) out.unstated.push_back({.name = option, .value = value, .confirmed = true});
  };
  taken("alignment", enum_name(Alignment::picture));
  if (stated_here("num_frames")) return;
  out.spec.num_frames = kSyncPictures;
  taken("num_frames", std::to_string(kSyncPictures));
}

void describe_head(ModelDescription& out, const ModelFile& contents, const torch::Tensor& weight) {
  const fs::path where = stated_in(contents, out.path);
  const Json stated = metadata_json(contents, "classifier", where);
  HeadOptions head;
  head.mode = out.config.modalities;
  if (contents.find(kFrameHeadWeight) != nullptr) head.head_kind = HeadKind::self_attention;
  CAVMAE_CHECK_AS(CheckpointError, weight.dim() == 2, out.path.string(), ": tensor '", kHeadWeight,
                  "' has the shape ", weight.sizes(), "; it should have 2 dimensions");
  const int64_t classes = weight.size(0);
  if (classes == kVggSoundClasses) head.scores = ScoreKind::softmax;
  head.num_classes = classes;
  if (!stated.is_null()) option_from_json(stated, head, where.string() + ": classifier");
  CAVMAE_CHECK_AS(CheckpointError, head.num_classes == classes, where.string(), ": states ", head.num_classes,
                  " classes, but the head of ", out.path.string(), " has ", classes);
  const bool whole = !stated.is_null() && contents.described_in.empty();
  const auto describe = [&](const char* option, const std::string& value, bool confirmed) {
    if (whole || (stated.is_object() && stated.contains(option))) return;
    out.unstated_of_head.push_back({.name = option, .value = value, .confirmed = confirmed});
  };
  const bool authors = is_authors_shape(out.config);
  if (out.config.modalities == Modalities::both) describe("mode", enum_name(head.mode), authors);
  describe("scores", enum_name(head.scores),
           authors && (classes == kAudioSetClasses || classes == kVggSoundClasses));
  describe("representation", enum_name(head.representation), true);
  out.head = head;
}

}  // namespace

ModelDescription describe_model(const ModelFile& contents, const fs::path& file,
                                const InferenceHints& hints) {
  ModelDescription out;
  out.path = file;
  describe_network(out, contents, hints);
  describe_inputs(out, contents);
  for (const char* name : {kHeadWeight, kFrameHeadWeight})
    if (const torch::Tensor* weight = contents.find(name)) describe_head(out, contents, *weight);
  const fs::path where = stated_in(contents, file);
  if (const Json labels = metadata_json(contents, "labels", where); !labels.is_null())
    out.labels = class_labels_from_json(labels, where.string());
  return out;
}

std::string shown_by_tensors(const CavMaeConfig& config) {
  std::string text =
      concat("width ", config.embed_dim, ", ", config.modality_depth, " + ", config.joint_depth, " layers");
  if (config.has_audio()) text += concat(", ", config.num_audio_patches(), " audio positions");
  if (config.has_video()) text += concat(", pictures of ", config.image_size, " px");
  return text;
}

}  // namespace cavmae
