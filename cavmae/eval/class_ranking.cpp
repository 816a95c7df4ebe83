#include "cavmae/eval/class_ranking.h"

#include <algorithm>

#include "cavmae/core/error.h"

namespace cavmae {

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
  Json items = Json::array(), failed = Json::array();
  for (size_t row = 0; row < scores.indices.size(); ++row) {
    const int64_t clip = scores.indices[row];
    const std::string missing = missing_modality(scores, clip);
    Json ranked = Json::array();
    for (const auto& [index, label, score] : rank_classes(scores.scores[static_cast<int64_t>(row)], labels))
      ranked.push_back(
          {{"label", label.display_name}, {"mid", label.mid}, {"score", static_cast<double>(score)}});
    items.push_back(
        {{"id", std::string(clips.id(clip))}, {"by", missing.empty() ? "all" : missing}, {"labels", ranked}});
  }
  for (const BadClip& clip : scores.failed) failed.push_back({{"id", clip.id}, {"reason", clip.reason}});
  return {{"clips", items}, {"failed", failed}};
}

}  // namespace cavmae
