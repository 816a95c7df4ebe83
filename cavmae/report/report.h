// The HTML report of a run: one file that opens offline. Free functions; safe from several threads.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/core/torch.h"

namespace cavmae {

// A clip to show: pictures are uint8 [H, W, 3]; one that is undefined is shown as not available.
struct ReportClip {
  std::string id;
  torch::Tensor picture;
  torch::Tensor spectrogram;  // low frequencies below
  std::vector<std::string> labels;
};

// A query with the best answers of the other modality.
struct ReportQuery {
  bool from_audio = true;  // sound asks for pictures, else the reverse
  ReportClip query;
  double rank = 1;                  // of the true partner
  std::vector<ReportClip> answers;  // best first
  std::vector<double> scores;       // cosine similarities, as long as `answers`
  std::vector<bool> is_partner;
  std::string kind;  // why it is shown: "best", "middle", "worst"
};

struct ReportReconstruction {
  std::string id;
  torch::Tensor original_picture, masked_picture, rebuilt_picture;  // uint8 [S, S, 3]
  torch::Tensor original_spectrogram, masked_spectrogram,
      rebuilt_spectrogram;  // uint8 [F, T, 3], low frequencies below
};

struct ReportContent {
  std::string title;
  Json config;                // the resolved configuration, nested objects
  std::vector<Json> metrics;  // the records of metrics.jsonl
  Json retrieval;             // to_json(RetrievalResult), or null
  Json classification;        // RUN/evaluation.json of a classifier, or null
  std::vector<ReportQuery> queries;
  std::vector<ReportReconstruction> reconstructions;
  std::vector<std::string> notes;   // bad clips and the like
  std::string subtitle;             // a line below the title
  std::string reconstruction_note;  // how the reconstructions were made
};

// The page as text; everything it needs is inside.
std::string render_report(const ReportContent& content);
void write_report(const std::filesystem::path& path, const ReportContent& content);

}  // namespace cavmae
