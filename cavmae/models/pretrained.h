// A trained model out of a file, ours or the authors': the network, its head where it is a classifier, what
// it is fed and what its classes are called. The one way from a file to a network that computes. Reading from
// a Pretrained is safe from several threads; copies of it share the network.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/core/class_label.h"
#include "cavmae/features/input_spec.h"
#include "cavmae/models/classifier.h"
#include "cavmae/models/infer_config.h"
#include "cavmae/models/model_description.h"
#include "cavmae/models/parameter_copy.h"
#include "cavmae/models/whole_file.h"
#include "cavmae/nn/precision_choice.h"

namespace cavmae {

// What a network is to be fed instead of what its file says, or where its file says nothing.
struct InputShape {
  std::optional<int64_t> num_fbank_frames = std::nullopt, image_size = std::nullopt;
  std::optional<double> window_seconds = std::nullopt;
  std::optional<double> fbank_mean = std::nullopt, fbank_std = std::nullopt;
};

// How files are read instead of what the checkpoint says.
struct InputReading {
  std::optional<bool> exif = std::nullopt;
  std::optional<ChannelMix> audio_channels = std::nullopt;
  std::optional<std::optional<int64_t>> audio_track = std::nullopt;  // InputSpec::audio_track
};

// What a .pth does not state of a classifier; overrides what the metadata say.
struct HeadHints {
  // E.g. a classifier of both of audio alone: one uni-modal stream.
  std::optional<Modalities> mode = std::nullopt;
  std::optional<Representation> representation = std::nullopt;
  std::optional<ScoreKind> scores = std::nullopt;
};

// Whether the decoder will compute. Where it will not, the network has none, nothing of it is read, and a
// file need not say how many heads it has.
enum class DecoderUse { if_any, none };

// Who looks whether all parameters are finite, which takes as long as reading them: load_pretrained(), or its
// caller by Pretrained::require_finite(), before a result counts.
enum class FiniteCheck { at_loading, by_caller };

struct LoadOptions {
  std::string network = {};   // which one of a file that holds several, as NetworkTensors::network names it
  InferenceHints hints = {};  // what tensors do not show, for a file that does not state it
  HeadUse head = HeadUse::if_any;  // leave_out: a classifier's network alone, whatever its head is
  DecoderUse decoder = DecoderUse::if_any;
  HeadHints head_hints = {};
  InputShape shape = {};
  InputReading reading = {};
  PositionFit positions = PositionFit::refuse;  // of position embeddings that are those of another shape
  PartialFile partial = PartialFile::refuse;
  PrecisionChoice precision = PrecisionChoice::fp32;  // Pretrained::network()->precision() is what it came to
  // The device among it. Engines that it names are put into use for the process (nn/engines.h).
  RuntimeOptions runtime = {};
  // Parameters stay where the file is mapped, for a job that is shorter than copying them: whoever writes
  // into the file (not those who rename another into its place) changes them.
  bool shares_memory_of_file = false;
  FiniteCheck finite = FiniteCheck::at_loading;
};

class Pretrained {
 public:
  std::filesystem::path path;          // the file that was read
  std::filesystem::path described_in;  // NAME.pth.json beside it, where that was read
  std::string network_in_file;         // see NetworkTensors::network
  std::vector<std::string> copies;     // other places in the file that hold the same network
  // What neither the file nor the options say: the authors' values, which the tensors fit.
  std::vector<UnstatedOption> assumed;
  InputSpec spec;                  // what the file states, else the authors', in the network's sizes
  bool states_spec = false;        // whether the file, or the description beside it, states it
  bool states_exif = false;        // see model_file.h
  std::vector<ClassLabel> labels;  // [C] of a classifier; empty when the file states none
  LoadReport report;               // parameters that kept their initial value, tensors of no use, ...

  bool is_classifier() const { return !classifier_.is_empty(); }
  // A classifier's too: the same parameters, the head's among them.
  CavMae network() const { return network_; }
  // Throws CheckpointError when the file holds none.
  Classifier classifier() const;
  // A model that diverged, or a damaged file, would give NaN for every clip: throws CheckpointError that
  // names the parameter.
  void require_finite() const;

 private:
  friend Pretrained load_pretrained(const std::filesystem::path& path, const LoadOptions& options);

  CavMae network_{nullptr};
  Classifier classifier_{nullptr};  // empty of a file without a head
};

// `path`: what find_model_file() takes. Throws CheckpointError: no such file, damaged, no CAV-MAE network,
// one that is not whole (see PartialFile) or not finite, or position embeddings of another shape that are not
// to be fitted; ConfigError: what the file does not say and `options` would have to (Note [What a .pth cannot
// say]), options that the network does not allow, a device that is not there.
Pretrained load_pretrained(const std::filesystem::path& path, const LoadOptions& options = {});

// A classifier's head with what the file does not state.
HeadOptions head_with(HeadOptions stated, const HeadHints& hints);

// What is unstated still once `options` are known, without what they do not use.
std::vector<UnstatedOption> unstated_with(const ModelDescription& described, const LoadOptions& options);

}  // namespace cavmae
