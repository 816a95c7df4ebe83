// cavmae classify: what is heard and seen in files.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <iostream>

#include <fmt/format.h>

#include "cavmae/core/files.h"
#include "cavmae/eval/class_ranking.h"
#include "cavmae/eval/shared_pass.h"

#include "apps/evaluation.h"
#include "apps/window_flags.h"

namespace cavmae::apps {
namespace {

struct ClassifyFlags {
  EvaluationFlags evaluation;
  WindowFlags windows;
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

void print_clips(const ClipScores& scores, const LabelSet& labels, const ClipList& clips, int64_t top) {
  for (size_t row = 0; row < scores.indices.size(); ++row) {
    const int64_t clip = scores.indices[row];
    const std::string missing = missing_modality(scores, clip);
    fmt::print("{}{}\n", clips.id(clip), missing.empty() ? "" : " (" + missing + ")");
    print_best(scores.scores[static_cast<int64_t>(row)], labels, top);
  }
}

// "1:02:05.500"
std::string time_text(double seconds) {
  const int64_t milliseconds = std::llround(seconds * 1000.0), whole = milliseconds / 1000;
  return fmt::format("{}:{:02}:{:02}.{:03}", whole / 3600, whole / 60 % 60, whole % 60, milliseconds % 1000);
}

// A heading for each file, and a line for each of its windows.
void print_timeline(const ClipScores& scores, const LabelSet& labels, const ClipList& clips, int64_t top) {
  std::string file;
  for (size_t row = 0; row < scores.indices.size(); ++row) {
    const ClipSource& clip = clips[scores.indices[row]];
    if (row == 0 || file != clip.file) fmt::print("{}\n", clip.file);
    file = clip.file;
    const auto ranked = rank_classes(scores.scores[static_cast<int64_t>(row)], labels);
    std::string line = fmt::format("  {:>11}", time_text(clip.start_seconds.value_or(0.0)));
    for (int64_t i = 0; i < std::min(top, labels.size()); ++i)
      line += fmt::format("  {:.3f} {}", ranked[i].score, ranked[i].label.display_name);
    const std::string missing = missing_modality(scores, scores.indices[row]);
    fmt::print("{}{}\n", line, missing.empty() ? "" : "  (" + missing + ")");
  }
}

void write_result(const std::filesystem::path& file, const ClipScores& scores, const LabelSet& labels,
                  const ClipList& clips) {
  if (file.empty()) return;
  if (file == "-") {
    write_scores(std::cout, scores, labels, clips);
    std::cout.flush();
    return;
  }
  write_file_with(file, [&](const std::filesystem::path& temporary) {
    std::ofstream out(temporary, std::ios::binary);
    write_scores(out, scores, labels, clips);
    out.close();
    CAVMAE_CHECK(out.good(), temporary.string(), ": cannot be written");
  });
}

int classify(const ClassifyFlags& flags, const GlobalOptions& global, const RankOfLaunch& rank) {
  auto log = make_log(verbosity_of(rank, global));
  CAVMAE_CHECK_AS(ConfigError, flags.top >= 1, "--top is ", flags.top, "; it must be at least 1");
  std::vector<std::filesystem::path> data = flags.evaluation.data;
  data.insert(data.end(), flags.files.begin(), flags.files.end());
  CAVMAE_CHECK_AS(ConfigError, !data.empty(), "nothing to classify: name files, or give --data");
  PassOptions options = flags.evaluation.pass_options(global, rank);
  flags.windows.check(options.view);
  auto clips = read_clip_sources(data, *log, flags.evaluation.lists.options());
  const Pretrained model = flags.evaluation.model.load_for(clips.size(), *log, rank);
  options.meanwhile = [&model] { model.require_finite(); };
  Classifier classifier = model.classifier();
  const LabelSet labels = labels_of(model, flags.labels);
  options.need = needed_of_head(classifier->head_options());
  clips = flags.windows.of(clips, model.spec, options, log);
  check_ranks_share({.clips = clips,
                     .options = options,
                     .spec = model.spec,
                     .more = option_to_json(classifier->head_options())},
                    model.network());
  const ClipScores scores = classify_clips(classifier, model.spec, clips, options, log);
  rank.leave();
  if (!rank.is_first()) return 0;
  report_failed(scores.failed, *log);
  CAVMAE_CHECK_AS(DataError, !scores.indices.empty(), "no clip could be read");
  if (flags.json != "-" && flags.windows.given()) print_timeline(scores, labels, clips, flags.top);
  if (flags.json != "-" && !flags.windows.given()) print_clips(scores, labels, clips, flags.top);
  write_result(flags.json, scores, labels, clips);
  return 0;
}

int run(const ClassifyFlags& flags, const GlobalOptions& global) {
  const DistFlags& dist = flags.evaluation.dist;
  return on_ranks(dist, dist.launch(), global,
                  [&](const RankOfLaunch& rank) { return classify(flags, global, rank); });
}

}  // namespace

void add_classify(CLI::App& app, Program& program) {
  describe(
      app,
      "A classifier of audio and video also answers where one of them is missing, and says so. --json holds every class.\n"
      "With --windows a long file becomes a timeline: a line for each window, from its start on.",
      {"cavmae classify lecture.mp4 --checkpoint classifier --windows all --top 3",
       "cavmae classify --data archive --checkpoint finetuned.pth --labels class_labels_indices.csv --json all.json"});
  auto flags = std::make_shared<ClassifyFlags>();
  flags->evaluation.frames = "all";
  flags->evaluation.loader.max_bad_ratio = 1.0;
  flags->evaluation.model.precision = "auto";
  flags->evaluation.add(app, HeadUse::if_any);
  flags->windows.add(app);
  add_labels_flag(app, flags->labels);
  app.add_option("files", flags->files, "media files")->type_name("FILE");
  app.add_option("--top", flags->top, "classes printed of each file [5]")->type_name("N");
  add_json_flag(app, flags->json);
  app.callback([=, &program] { program.action = [=, &program] { return run(*flags, program.global); }; });
}

}  // namespace cavmae::apps
