// cavmae classify: what is heard and seen in files.
#include <algorithm>

#include <fmt/format.h>

#include "cavmae/eval/class_ranking.h"

#include "apps/evaluation.h"

namespace cavmae::apps {
namespace {

struct ClassifyFlags {
  EvaluationFlags evaluation;
  std::filesystem::path labels;
  std::vector<std::filesystem::path> files;
  int64_t top = 5;
  std::filesystem::path json;
};

void print_best(const torch::Tensor& scores, const LabelSet& labels, int64_t top) {
  const std::vector<ScoredClass> ranked = rank_classes(scores, labels);
  for (int64_t i = 0; i < std::min(top, labels.size()); ++i)
    fmt::print("  {:.3f}  {}\n", ranked[i].score, ranked[i].label.display_name);
}

int run(const ClassifyFlags& flags, const GlobalOptions& global) {
  auto log = make_log(global.verbosity());
  CAVMAE_CHECK_AS(ConfigError, flags.top >= 1, "--top is ", flags.top, "; it must be at least 1");
  std::vector<std::filesystem::path> data = flags.evaluation.data;
  data.insert(data.end(), flags.files.begin(), flags.files.end());
  CAVMAE_CHECK_AS(ConfigError, !data.empty(), "nothing to classify: name files, or give --data");
  const auto clips = read_clip_sources(data, *log, flags.evaluation.lists.options());
  const Pretrained model = flags.evaluation.model.load(*log);
  Classifier classifier = model.classifier();
  const LabelSet labels = labels_of(model, flags.labels);
  const ClipScores scores =
      classify_clips(classifier, model.spec, clips, flags.evaluation.pass_options(global), log);
  report_failed(scores.failed, *log);
  CAVMAE_CHECK_AS(DataError, !scores.indices.empty(), "no clip could be read");
  for (size_t row = 0; row < scores.indices.size() && flags.json != "-"; ++row) {
    const int64_t clip = scores.indices[row];
    const std::string missing = missing_modality(scores, clip);
    fmt::print("{}{}\n", clips.id(clip), missing.empty() ? "" : " (" + missing + ")");
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
  flags->evaluation.add(app, HeadUse::if_any);
  add_labels_flag(app, flags->labels);
  app.add_option("files", flags->files, "media files")->type_name("FILE");
  app.add_option("--top", flags->top, "classes printed of each file [5]")->type_name("N");
  add_json_flag(app, flags->json);
  app.callback([=, &program] { program.action = [=, &program] { return run(*flags, program.global); }; });
}

}  // namespace cavmae::apps
