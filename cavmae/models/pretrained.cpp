#include "cavmae/models/pretrained.h"

#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/models/model_description.h"
#include "cavmae/models/model_file.h"
#include "cavmae/models/model_input.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

HeadOptions head_with(HeadOptions head, const HeadHints& hints) {
  head.mode = hints.mode.value_or(head.mode);
  head.representation = hints.representation.value_or(head.representation);
  head.scores = hints.scores.value_or(head.scores);
  return head;
}

CavMaeConfig config_with(CavMaeConfig config, const InputShape& shape) {
  config.num_fbank_frames = shape.num_fbank_frames.value_or(config.num_fbank_frames);
  config.image_size = shape.image_size.value_or(config.image_size);
  config.validate();
  return config;
}

InputSpec spec_with(InputSpec spec, const LoadOptions& options) {
  spec.window_seconds = options.shape.window_seconds.value_or(spec.window_seconds);
  spec.exif = options.reading.exif.value_or(spec.exif);
  spec.audio_channels = options.reading.audio_channels.value_or(spec.audio_channels);
  spec.audio_track = options.reading.audio_track.value_or(spec.audio_track);
  spec.validate();
  return spec;
}

// Copies what the file has; the rest gets the values that a fresh network would have.
LoadReport fill(CavMae& network, const CopySource& source, PositionFit positions) {
  const auto copy = [&] { return copy_parameters(*network, network->config(), source, positions); };
  LoadReport report = copy();
  if (!report.missing.empty()) {
    constexpr uint64_t kSeed = 0;
    initialize(network, kSeed);
    copy();
  }
  return report;
}

}  // namespace

Classifier Pretrained::classifier() const {
  CAVMAE_CHECK_AS(CheckpointError, is_classifier(), path.string(), ": holds no classifier (no tensor '",
                  kHeadWeight, "'); make one of it with 'cavmae finetune --init'");
  CAVMAE_CHECK_AS(CheckpointError, report.missing.empty(), path.string(), ": ", report.missing.size(),
                  " parameters of the classifier are missing: ", summarize_names(report.missing));
  return classifier_;
}

Pretrained load_pretrained(const fs::path& path, const LoadOptions& options) {
  const torch::Device device = resolve_device(options.runtime.device);
  Pretrained out;
  out.path = find_model_file(path);
  const TensorFile contents = read_model_file(out.path);
  ModelDescription described = describe_model(contents, out.path, options.hints);
  const CavMaeConfig config = config_with(described.config, options.shape);
  if (described.head && options.head == HeadUse::if_any) {
    out.classifier_ = Classifier(config, head_with(*described.head, options.head_hints));
    out.network_ = as_network(out.classifier_);
  } else {
    out.network_ = CavMae(config);
  }
  out.report =
      fill(out.network_,
           {.tensors = contents.tensors, .where = out.path.string(), .config = std::move(described.config)},
           options.positions);
  out.states_spec = described.spec.has_value();
  out.states_exif = described.states_exif;
  out.spec = spec_with(input_spec(config, described.spec.value_or(InputSpec{})), options);
  out.labels = std::move(described.labels);
  out.network_->set_precision(options.precision);
  out.network_->set_runtime(options.runtime);
  out.network_->to(device);
  return out;
}

}  // namespace cavmae
