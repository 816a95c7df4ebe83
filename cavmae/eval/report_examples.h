// What is worth showing of a trained model: retrieval over a set of clips, example queries, reconstructions.
// Tensors to look at, not yet pictures in a page. Free functions; the model is read, not changed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/data/clip_list.h"
#include "cavmae/data/clip_reader.h"
#include "cavmae/data/loader.h"
#include "cavmae/eval/clip_passes.h"
#include "cavmae/eval/shown_reconstruction.h"
#include "cavmae/metrics/retrieval.h"
#include "cavmae/models/cav_mae.h"

namespace cavmae {

struct ReportExampleOptions {
  int64_t num_queries = 6;          // of each direction; a third each from the best, the middle, the worst
  int64_t num_answers = 5;          // shown for a query
  int64_t num_reconstructions = 4;  // 0: none
  MaskOptions masks;                // as in training
  bool normalized_targets = true;   // as in training
  uint64_t seed = 0;                // of the masks and the choice among equal examples
  PassOptions pass;                 // need, title and device are set by what is made
};

// A clip as the model gets it, made visible.
struct ShownClip {
  std::string id;
  std::vector<std::string> labels;
  torch::Tensor picture;  // uint8 [S, S, 3]; undefined when it could not be read again
  torch::Tensor fbank;    // float [t, F], normalised, without the padding after a short clip's end
};

enum class Direction { audio_to_video, video_to_audio };
enum class ExampleKind { best, middle, worst };

struct ShownQuery {
  Direction direction = Direction::audio_to_video;
  ExampleKind kind = ExampleKind::best;
  ShownClip query;                 // its picture and its sound are each other's partners
  double rank = 1;                 // of the partner
  std::vector<ShownClip> answers;  // best first
  std::vector<double> scores;      // cosine similarities of the answers
  std::vector<bool> is_partner;    // of the answers
};

struct ReportExamples {
  std::optional<RetrievalResult> retrieval;  // not of a network with one encoder
  std::vector<ShownQuery> queries;
  std::vector<ShownReconstruction> reconstructions;
  std::vector<BadClip> failed;
  int64_t clips = 0;  // that were read
};

// Embeds the clips, ranks them, and reads again those that are shown.
ReportExamples make_report_examples(CavMae& model, const InputSpec& spec, const ClipList& clips,
                                    const ReportExampleOptions& options, std::shared_ptr<Log> log);

// Rows to show from the ranks of all queries: a third (at most) each from the best, the middle and the worst,
// drawn by `seed` among equal ranks; each row once.
struct Example {
  int64_t row = 0;
  ExampleKind kind = ExampleKind::best;
};
std::vector<Example> choose_examples(const std::vector<double>& ranks, int64_t count, uint64_t seed);

}  // namespace cavmae
