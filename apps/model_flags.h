// The flags of every command that takes a trained model: which file, what it does not state, what it is fed,
// and what computes it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/models/pretrained.h"

#include "apps/command.h"
#include "apps/dist_flags.h"

namespace cavmae::apps {

// Registers --precision, whose default `precision` is.
void add_precision_flag(CLI::App& app, std::string& precision);
PrecisionChoice precision_choice(const std::string& precision);

// Registers --device and --engine, and what they were given.
void add_runtime_flags(CLI::App& app, OptionFlags& flags);
RuntimeOptions runtime_options(const OptionFlags& flags);

// --labels of the commands that use a classifier.
void add_labels_flag(CLI::App& app, std::filesystem::path& labels);

// How files are read, where not as the checkpoint says: --exif, --audio-track, --audio-channels.
struct ReadingFlags {
  std::optional<bool> exif;
  std::string audio_track, audio_channels;  // empty: as the checkpoint says

  void add(CLI::App& app);
  InputReading reading() const;
};

// The words of --resize-positions, of which the first is meant when it stands alone.
inline const std::vector<std::string> kResizePositions = {"trim", "interpolate", "none"};

struct ModelFlags {
  std::filesystem::path checkpoint;
  LoadOptions options;
  std::string mode, representation, scores;  // empty: what the checkpoint says
  std::string resize_positions = "none";
  std::string precision = "fp32";  // set before add(): the default
  bool allow_partial = false;
  ReadingFlags reading;
  OptionFlags runtime_flags;

  // Registers --checkpoint, the shape of the inputs, how files are read, --precision, --device, --engine and
  // what add_file_flags() does. A command that leaves out the head has no use for its flags.
  void add(CLI::App& app, HeadUse head = HeadUse::leave_out, DecoderUse decoder = DecoderUse::none);
  // The flags for what a file does not state or holds in part, and --network.
  void add_file_flags(CLI::App& app, HeadUse head, DecoderUse decoder);

  LoadOptions load_options() const;
  // The model on its device. Tells the log which file it is, what it does not say and what it lacks.
  Pretrained load(Log& log) const;
  // As a rank of several: on the GPU of its own number on its host, by the kernels and in the precision of
  // rank 0.
  Pretrained load(Log& log, const RankOfLaunch& rank) const;
  // For so many clips: a few do not repay a copy of the parameters, which stay in the mapped file. The caller
  // calls require_finite().
  Pretrained load_for(size_t num_clips, Log& log, const RankOfLaunch& rank) const;
};

Pretrained load_model(const std::filesystem::path& checkpoint, const LoadOptions& options, Log& log);
Pretrained load_model_of_rank(const std::filesystem::path& checkpoint, LoadOptions options, Log& log,
                              const RankOfLaunch& rank);

// Tells the log which values of the authors' models are taken.
void log_assumed(const std::vector<UnstatedOption>& assumed, const std::filesystem::path& file, Log& log);

}  // namespace cavmae::apps
