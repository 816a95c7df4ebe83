// cavmae classify: what is heard and seen in files.
#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "cavmae/train/evaluation.h"

#include "apps/classifier_flags.h"
#include "apps/evaluation.h"

namespace cavmae::apps {
namespace {

struct ClassifyFlags {
  EvaluationFlags evaluation;
  ClassifierFlags classifier;
  std::vector<std::filesystem::path> files;
  int64_t top = 5;
  std::filesystem::path json;
};

// Classes by their score, best first.
std::vector<int64_t> ranking(const torch::Tensor& scores) {
  const torch::Tensor order = scores.argsort(/*dim=*/0, /*descending=*/true).contiguous();
  return {order.data_ptr<int64_t>(), order.data_ptr<int64_t>() + order.numel()};
}

// "sound alone", "picture alone", or "" where everything was there that the classifier takes.
std::string missing_modality(const ClipScores& scores, int64_t clip) {
  if (std::ranges::binary_search(scores.audio_only, clip)) return "sound alone";
  if (std::ranges::binary_search(scores.video_only, clip)) return "picture alone";
  return "";
}

Json clip_json(const LabelSet& labels, const torch::Tensor& scores) {
  Json out = Json::array();
  for (const int64_t c : ranking(scores))
    out.push_back(
        {{"label", labels[c].display_name}, {"mid", labels[c].mid}, {"score", scores[c].item<double>()}});
  return out;
}

Json to_json(const ClipScores& scores, const LabelSet& labels, const std::vector<ClipSource>& clips) {
  Json items = Json::array(), failed = Json::array();
  for (size_t row = 0; row < scores.indices.size(); ++row) {
    const int64_t clip = scores.indices[row];
    const std::string missing = missing_modality(scores, clip);
    items.push_back({{"id", clips[clip].id},
                     {"by", missing.empty() ? "all" : missing},
                     {"labels", clip_json(labels, scores.scores[static_cast<int64_t>(row)])}});
  }
  for (const BadClip& clip : scores.failed) failed.push_back({{"id", clip.id}, {"reason", clip.reason}});
  return {{"clips", items}, {"failed", failed}};
}

void print_best(const torch::Tensor& scores, const LabelSet& labels, int64_t top) {
  const std::vector<int64_t> order = ranking(scores);
  for (int64_t i = 0; i < std::min(top, labels.size()); ++i)
    fmt::print("  {:.3f}  {}\n", scores[order[i]].item<double>(), labels[order[i]].display_name);
}

int run(const ClassifyFlags& flags, const GlobalOptions& global) {
  auto log = make_log(global.verbosity());
  CAVMAE_CHECK_AS(ConfigError, flags.top >= 1, "--top is ", flags.top, "; it must be at least 1");
  std::vector<std::filesystem::path> data = flags.evaluation.data;
  data.insert(data.end(), flags.files.begin(), flags.files.end());
  CAVMAE_CHECK_AS(ConfigError, !data.empty(), "nothing to classify: name files, or give --data");
  const auto clips = read_clip_sources(data, *log);
  LoadedClassifier loaded = flags.classifier.load(flags.evaluation, *log);
  const LabelSet labels = labels_of(loaded, flags.classifier.labels);
  const ClipScores scores = classify_clips(loaded.classifier, features_of(loaded, flags.evaluation), clips,
                                           flags.evaluation.pass_options(global), log);
  report_failed(scores.failed, *log);
  CAVMAE_CHECK_AS(DataError, !scores.indices.empty(), "no clip could be read");
  for (size_t row = 0; row < scores.indices.size() && flags.json != "-"; ++row) {
    const int64_t clip = scores.indices[row];
    const std::string missing = missing_modality(scores, clip);
    fmt::print("{}{}\n", clips[clip].id, missing.empty() ? "" : " (" + missing + ")");
    print_best(scores.scores[static_cast<int64_t>(row)], labels, flags.top);
  }
  write_json_result(flags.json, to_json(scores, labels, clips));
  return 0;
}

}  // namespace

void add_classify(CLI::App& app, Program& program) {
  describe(
      app,
      "A classifier of audio and video also answers where one of them is missing, and says so. --json holds every class.",
      {"cavmae classify --data archive --checkpoint finetuned.pth --labels class_labels_indices.csv --json all.json"});
  auto flags = std::make_shared<ClassifyFlags>();
  flags->evaluation.frames = "all";
  flags->evaluation.loader.max_bad_ratio = 1.0;
  flags->evaluation.add(app);
  flags->classifier.add(app);
  app.add_option("files", flags->files, "media files")->type_name("FILE");
  app.add_option("--top", flags->top, "classes printed of each file [5]")->type_name("N");
  add_json_flag(app, flags->json);
  app.callback([=, &program] { program.action = [=, &program] { return run(*flags, program.global); }; });
}

}  // namespace cavmae::apps
