// cavmae enhance-labels: adds labels that a taxonomy or a teacher implies.
#include <fmt/format.h>

#include "cavmae/data/enhancement.h"
#include "cavmae/data/manifest_writer.h"

#include "apps/list_flags.h"

namespace cavmae::apps {
namespace {

struct EnhanceFlags {
  std::vector<std::filesystem::path> data;
  std::filesystem::path labels, ontology, scores, out, json;
  std::string threshold = "mean";
  ListFlags lists;
};

std::optional<double> read_threshold(const std::string& text) {
  if (text == "mean") return std::nullopt;
  return option_text_to_json<double>(text, "--threshold").get<double>();
}

EnhancementSources read_sources(const EnhanceFlags& flags, const LabelSet& set) {
  EnhancementSources sources{.taxonomy = {}, .teacher = {}, .threshold = read_threshold(flags.threshold)};
  if (!flags.ontology.empty()) {
    sources.taxonomy = Taxonomy::read(flags.ontology);
    CAVMAE_CHECK_AS(DataError, sources.taxonomy->joins_any_of(set), flags.ontology.string(), ": no class of ",
                    set.origin(), " stands above another in it; ids must be the mids of the label file");
  }
  if (!flags.scores.empty()) sources.teacher = read_teacher_scores(flags.scores, set);
  return sources;
}

int run(const EnhanceFlags& flags, const GlobalOptions& global) {
  CAVMAE_CHECK_AS(ConfigError, !flags.ontology.empty() || !flags.scores.empty(),
                  "enhance-labels: nothing to add labels by; give --ontology, --scores or both");
  check_manifest_path(flags.out);
  auto log = make_log(global.verbosity());
  const LabelSet set = read_label_csv(flags.labels);
  const auto sources = read_sources(flags, set);
  const auto clips = read_clip_sources(flags.data, *log, flags.lists.options(), &set);
  const auto classes = classes_of_clips(clips, set, {.empty_classes = EmptyClasses::allowed});
  int64_t scored = 0;
  for (size_t i = 0; i < clips.size(); ++i) scored += sources.teacher.contains(std::string(clips.id(i)));
  CAVMAE_CHECK_AS(DataError, flags.scores.empty() || scored > 0, flags.scores.string(), ": has scores of ",
                  sources.teacher.size(), " clips, but of none of the ", clips.size(),
                  " of --data; ids must be the same in both");
  const Enhancement enhanced = enhance_labels(clips, classes, set, sources);
  // Classes are written as the data sets do: by mid.
  write_manifest(flags.out, clips, [&](size_t i) {
    std::vector<std::string> mids;
    for (const int64_t c : enhanced.classes[i]) mids.push_back(set[c].mid);
    return mids;
  });
  if (flags.json != "-") {
    fmt::print("{} labels added ({} by the taxonomy, {} by the teacher) to {} of {} clips, in {}\n",
               enhanced.from_taxonomy + enhanced.from_teacher, enhanced.from_taxonomy, enhanced.from_teacher,
               enhanced.clips_changed, clips.size(), flags.out.string());
    if (!flags.scores.empty()) fmt::print("the teacher scored {} of the clips\n", scored);
  }
  write_json_result(flags.json, {{"clips", clips.size()},
                                 {"clips_changed", enhanced.clips_changed},
                                 {"clips_scored", scored},
                                 {"from_taxonomy", enhanced.from_taxonomy},
                                 {"from_teacher", enhanced.from_teacher},
                                 {"file", flags.out.string()}});
  return 0;
}

}  // namespace

void add_enhance_labels(CLI::App& app, Program& program) {
  describe(
      app,
      "Writes --data again with the labels that clips should have had (Gong et al., PSLA, 2021): those above their own\n"
      "in a taxonomy, and those that a trained model scores high.",
      {"cavmae enhance-labels --data train.json --labels class_labels_indices.csv --scores scores.csv --out more.json"});
  auto flags = std::make_shared<EnhanceFlags>();
  app.add_option("--data", flags->data, "clips with labels; may be given several times")
      ->required()
      ->type_name("PATH");
  app.add_option("--labels", flags->labels, "label file with index, mid, display_name")
      ->required()
      ->type_name("FILE");
  app.add_option("--ontology", flags->ontology, "the taxonomy, in the form of AudioSet's ontology.json")
      ->type_name("FILE");
  app.add_option("--scores", flags->scores, "a teacher's scores: CSV with id, label, score, or JSON")
      ->type_name("FILE");
  app.add_option(
         "--threshold", flags->threshold,
         "score from which on a label is added, or 'mean': of each label, the mean over the clips that have it [mean]")
      ->type_name("X");
  app.add_option("--out", flags->out, "the new list: .jsonl, or .json in the authors' form")
      ->required()
      ->type_name("FILE");
  flags->lists.add(app);
  add_json_flag(app, flags->json);
  app.callback([=, &program] { program.action = [=, &program] { return run(*flags, program.global); }; });
}

}  // namespace cavmae::apps
