#include "cavmae/eval/class_ranking.h"

#include <algorithm>
#include <ostream>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/json_text.h"
#include "cavmae/core/options.h"

namespace cavmae {
namespace {

Json clip_json(const ClipScores& scores, size_t row, const LabelSet& labels, const ClipList& clips) {
  const ClipSource& clip = clips[scores.indices[row]];
  const std::string missing = missing_modality(scores, scores.indices[row]);
  Json ranked = Json::array();
  for (const auto& [index, label, score] : rank_classes(scores.scores[static_cast<int64_t>(row)], labels))
    ranked.push_back(
        {{"label", label.display_name}, {"mid", label.mid}, {"score", static_cast<double>(score)}});
  Json out = {{"id", clip.id}};
  if (!clip.file.empty()) {
    out["file"] = clip.file;
    out["start_seconds"] = clip.start_seconds.value_or(0.0);
  }
  out["by"] = missing.empty() ? "all" : missing;
  out["labels"] = std::move(ranked);
  return out;
}

// As it stands so many spaces further right; text is never cut in lines.
std::string indented(const Json& json, size_t spaces) {
  const std::string text = to_text(json, 2);
  std::string out;
  for (const char c : text) {
    out += c;
    if (c == '\n') out.append(spaces, ' ');
  }
  return out;
}

}  // namespace

LabelSet labels_of(const Pretrained& model, const std::filesystem::path& label_file) {
  const std::string where = model.path.string();
  const int64_t head_size = model.classifier()->head_options().num_classes;
  LabelSet labels;
  if (!label_file.empty()) {
    labels = read_label_csv(label_file);
  } else {
    CAVMAE_CHECK_AS(CheckpointError, !model.labels.empty(), where,
                    ": does not say what its classes are called; give the label file with --labels");
    labels = LabelSet(model.labels, where);
  }
  check_head_size(labels, head_size, where);
  return labels;
}

std::vector<ScoredClass> rank_classes(const torch::Tensor& scores, const LabelSet& labels) {
  const torch::Tensor values = scores.to(torch::kCPU, torch::kFloat32).contiguous();
  CAVMAE_CHECK(values.dim() == 1 && values.size(0) == labels.size(), "scores ", values.sizes(), " for ",
               labels.size(), " classes");
  std::vector<ScoredClass> out;
  for (int64_t c = 0; c < labels.size(); ++c)
    out.push_back({.index = c, .label = labels[c], .score = values.data_ptr<float>()[c]});
  std::ranges::stable_sort(out, std::ranges::greater{}, &ScoredClass::score);
  return out;
}

std::string missing_modality(const ClipScores& scores, int64_t clip) {
  if (std::ranges::binary_search(scores.audio_only, clip)) return "audio only";
  if (std::ranges::binary_search(scores.video_only, clip)) return "video only";
  return "";
}

Json to_json(const ClipScores& scores, const LabelSet& labels, const ClipList& clips) {
  Json items = Json::array();
  for (size_t row = 0; row < scores.indices.size(); ++row)
    items.push_back(clip_json(scores, row, labels, clips));
  return {{"precision", enum_name(scores.precision)}, {"clips", items}, {"failed", to_json(scores.failed)}};
}

void write_scores(std::ostream& out, const ClipScores& scores, const LabelSet& labels,
                  const ClipList& clips) {
  out << "{\n  \"precision\": \"" << enum_name(scores.precision) << "\",\n  \"clips\": [";
  for (size_t row = 0; row < scores.indices.size(); ++row)
    out << (row == 0 ? "\n    " : ",\n    ") << indented(clip_json(scores, row, labels, clips), 4);
  out << (scores.indices.empty() ? "]" : "\n  ]")
      << ",\n  \"failed\": " << indented(to_json(scores.failed), 2) << "\n}\n";
}

}  // namespace cavmae
