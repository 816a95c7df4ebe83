#include "cavmae/models/pretrained.h"

#include <optional>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/models/finite_values.h"
#include "cavmae/models/model_description.h"
#include "cavmae/models/model_file.h"
#include "cavmae/models/model_input.h"
#include "cavmae/nn/engines.h"
#include "cavmae/nn/unset_parameters.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

InputSpec spec_with(InputSpec spec, const LoadOptions& options) {
  const InputShape& shape = options.shape;
  spec.window_seconds = shape.window_seconds.value_or(spec.window_seconds);
  spec.fbank_mean = shape.fbank_mean.value_or(spec.fbank_mean);
  spec.fbank_std = shape.fbank_std.value_or(spec.fbank_std);
  spec.exif = options.reading.exif.value_or(spec.exif);
  spec.audio_channels = options.reading.audio_channels.value_or(spec.audio_channels);
  spec.audio_track = options.reading.audio_track.value_or(spec.audio_track);
  spec.validate();
  return spec;
}

CavMaeConfig config_with(CavMaeConfig config, const InputShape& shape) {
  config.num_fbank_frames = shape.num_fbank_frames.value_or(config.num_fbank_frames);
  config.image_size = shape.image_size.value_or(config.image_size);
  config.validate();
  return config;
}

void take_own_memory(CavMae& network) {
  for (torch::Tensor& parameter : network->parameters())
    parameter.set_data(at::empty_like(parameter, parameter.options().requires_grad(false)));
}

// Copies what the file has; the rest gets the values that a fresh network would have.
LoadReport fill(CavMae& network, const CopySource& source, PositionFit positions) {
  const auto copy = [&] { return copy_parameters(*network, network->config(), source, positions); };
  LoadReport report = copy();
  if (!report.missing.empty()) {
    constexpr uint64_t kSeed = 0;
    if (source.shares_memory) take_own_memory(network);  // what is written next is not to change the file's
    initialize(network, kSeed);
    copy();
  }
  return report;
}

}  // namespace

HeadOptions head_with(HeadOptions head, const HeadHints& hints) {
  head.mode = hints.mode.value_or(head.mode);
  head.representation = hints.representation.value_or(head.representation);
  head.scores = hints.scores.value_or(head.scores);
  return head;
}

std::vector<UnstatedOption> unstated_with(const ModelDescription& described, const LoadOptions& options) {
  std::vector<UnstatedOption> unstated = described.unstated;
  if (described.head && options.head == HeadUse::if_any)
    unstated.insert(unstated.end(), described.unstated_of_head.begin(), described.unstated_of_head.end());
  const bool decoder =
      options.decoder == DecoderUse::if_any && !(described.head && options.head == HeadUse::if_any);
  const auto is_known = [&](const UnstatedOption& option) {
    const InputShape& shape = options.shape;
    const HeadHints& head = options.head_hints;
    return (option.name == "decoder_num_heads" && !decoder) ||
           (option.name == "window_seconds" && shape.window_seconds) ||
           (option.name == "fbank_mean" && shape.fbank_mean) ||
           (option.name == "fbank_std" && shape.fbank_std) || (option.name == "mode" && head.mode) ||
           (option.name == "scores" && head.scores) ||
           (option.name == "representation" && head.representation);
  };
  std::erase_if(unstated, is_known);
  return unstated;
}

Classifier Pretrained::classifier() const {
  CAVMAE_CHECK_AS(CheckpointError, is_classifier(), path.string(), ": holds no classifier (no tensor '",
                  kHeadWeight, "'); make one of it with 'cavmae finetune --init'");
  return classifier_;
}

void Pretrained::require_finite() const {
  const std::optional<std::string> name = first_not_finite(*network_);
  CAVMAE_CHECK_AS(CheckpointError, !name, path.string(), ": '", name.value_or(""),
                  "' holds values that are not finite; its training diverged, or the file is damaged");
}

Pretrained load_pretrained(const fs::path& path, const LoadOptions& options) {
  const torch::Device device = resolve_device(options.runtime.device);
  Pretrained out;
  out.path = find_model_file(path);
  const ModelFile contents = map_model_file(out.path, options.network);
  const ModelDescription described = describe_model(contents, out.path, options.hints);
  const WholeFileReport whole = compare_with_network(contents, described, options.head);
  require_whole(whole, out.path.string(), options.partial);
  out.assumed = unstated_with(described, options);
  require_confirmed(out.assumed, out.path, shown_by_tensors(described.config));
  const CavMaeConfig config = config_with(described.config, options.shape);
  std::optional<UnsetParameters> unset;  // since all of them come from the file
  if (options.partial == PartialFile::refuse)
    unset.emplace(options.shares_memory_of_file ? UnsetMemory::to_be_replaced : UnsetMemory::to_be_written);
  if (described.head && options.head == HeadUse::if_any) {
    out.classifier_ = Classifier(config, head_with(*described.head, options.head_hints));
    out.network_ = as_network(out.classifier_);
  } else {
    out.network_ = CavMae(options.decoder == DecoderUse::none ? config.without_decoder() : config);
  }
  out.report = fill(out.network_,
                    {.tensors = contents.tensors,
                     .where = out.path.string(),
                     .config = described.config,
                     .shares_memory = options.shares_memory_of_file},
                    options.positions);
  out.report.unexpected = whole.unexpected;
  out.report.unexpected.insert(out.report.unexpected.end(), whole.left_out.begin(), whole.left_out.end());
  if (options.finite == FiniteCheck::at_loading) out.require_finite();
  out.described_in = contents.described_in;
  out.network_in_file = contents.network;
  out.copies = contents.copies;
  out.states_spec = described.states_spec;
  out.states_exif = described.states_exif;
  out.spec = spec_with(input_spec(config, described.spec), options);
  out.labels = described.labels;
  out.network_->set_precision(resolve_precision(options.precision, device));
  if (!options.runtime.engine.empty()) use_given_engines(options.runtime, out.network_->precision());
  out.network_->set_runtime(options.runtime);
  out.network_->to(device);
  return out;
}

}  // namespace cavmae
