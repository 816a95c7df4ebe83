// cavmae evaluate: a checkpoint's numbers on a data set.
#include <fmt/format.h>

#include "cavmae/eval/class_ranking.h"
#include "cavmae/eval/shared_pass.h"
#include "cavmae/train/evaluation.h"
#include "cavmae/train/step_record.h"
#include "cavmae/train/trained_with.h"

#include "apps/classification_table.h"
#include "apps/evaluation.h"
#include "apps/retrieval_table.h"
#include "apps/training.h"

namespace cavmae::apps {
namespace {

struct EvaluateFlags {
  EvaluationFlags evaluation;
  std::filesystem::path labels;
  bool classes = false, no_confusion = false;
  std::filesystem::path json;
};

void print_classes(const ClassificationResult& result, const LabelSet& labels) {
  fmt::print("{:>8}{:>10}{:>8}  {}\n", "AP", "AUC", "clips", "class");
  for (int64_t c = 0; c < labels.size(); ++c) {
    const ClassMetrics& m = result.classes[static_cast<size_t>(c)];
    fmt::print("{:>7.2f}%{:>10.4f}{:>8}  {}\n", 100 * m.average_precision, m.auc, m.positives,
               labels[c].display_name);
  }
}

int evaluate_classes(const EvaluateFlags& flags, const PassOptions& pass, const RankOfLaunch& rank,
                     const Pretrained& model, const LabelSet& labels, const ClipList& clips,
                     std::shared_ptr<Log> log) {
  check_ranks_share({.clips = clips,
                     .options = pass,
                     .spec = model.spec,
                     .more = {{"head", option_to_json(model.classifier()->head_options())},
                              {"labels", labels.display_names()},
                              {"modality_confusion", !flags.no_confusion}}},
                    model.network());
  const ClassifierEvaluation evaluation =
      evaluate_classifier(model.classifier(), model.spec, clips, labels, pass, log,
                          flags.no_confusion ? EachAlone::no : EachAlone::yes);
  rank.leave();
  if (!rank.is_first()) return 0;
  report_failed(evaluation.scores.failed, *log);
  if (flags.json != "-") {
    print_classification(evaluation.result);
    if (const auto& confusion = evaluation.confusion)
      fmt::print(
          "modality confusion {:.2f}% (right with sound alone {:.2f}%, with pictures alone {:.2f}%, and wrong "
          "with both)\n",
          100 * confusion->either, 100 * confusion->audio, 100 * confusion->video);
    if (flags.classes) print_classes(evaluation.result, labels);
  }
  Json json = {{"checkpoint", model.path.string()},
               {"precision", enum_name(evaluation.scores.precision)},
               {"classification", to_json(evaluation.result, labels.display_names())},
               {"failed", evaluation.scores.failed.size()}};
  if (evaluation.confusion) json["modality_confusion"] = to_json(*evaluation.confusion);
  write_json_result(flags.json, json);
  return 0;
}

int evaluate_pretraining(const EvaluateFlags& flags, const PassOptions& pass, const RankOfLaunch& rank,
                         const Pretrained& model, const ClipList& clips, std::shared_ptr<Log> log) {
  const auto trained = training_of(model.path).pretraining;
  if (!trained)
    log->warn("the file stands without its run, so masks and losses are those of the paper's recipe");
  PretrainedEvaluationOptions options{.trained = trained.value_or(PretrainOptions()), .pass = pass};
  if (model.spec.alignment == Alignment::picture)
    log->info(
        "measured on each clip's middle picture and the sound around it; 'cavmae retrieve' compares all {} "
        "pictures, each with its sound",
        model.spec.num_frames);
  else
    log->info("measured on each clip's middle picture; 'cavmae retrieve --frames all' averages {}",
              model.spec.num_frames);
  options.pass.view.frames = FrameChoice::middle;
  options.pass.loader.batch_size = options.trained.loader.batch_size;
  flags.evaluation.loader_flags.apply(options.pass.loader);
  check_ranks_share({.clips = clips,
                     .options = options.pass,
                     .spec = model.spec,
                     .more = {{"objective", option_to_json(options.trained.objective)},
                              {"mask", option_to_json(options.trained.mask)},
                              {"seed", options.trained.seed}}},
                    model.network());
  const auto evaluation = evaluate_pretrained(model.network(), model.spec, clips, options, log);
  rank.leave();
  if (!evaluation) return kExitInterrupted;
  if (!rank.is_first()) return 0;
  report_failed(evaluation->failed, *log);
  Json record = validation_record({}, evaluation->result);
  for (const char* key : {"kind", "step", "epoch", "seconds"}) record.erase(key);
  if (flags.json != "-") {
    fmt::print("{}\n", validation_line(record));
    if (evaluation->result.retrieval) print_retrieval(*evaluation->result.retrieval);
  }
  record["checkpoint"] = model.path.string();
  record["precision"] = enum_name(model.network()->precision());
  record["failed"] = evaluation->failed.size();
  write_json_result(flags.json, record);
  return 0;
}

int evaluate(const EvaluateFlags& flags, const GlobalOptions& global, const RankOfLaunch& rank) {
  CAVMAE_CHECK_AS(ConfigError, !flags.evaluation.data.empty(), "--data is needed: the clips to measure on");
  auto log = make_log(verbosity_of(rank, global));
  const Pretrained model = flags.evaluation.model.load(*log, rank);
  const ListOptions lists = flags.evaluation.lists.options();
  const PassOptions pass = flags.evaluation.pass_options(global, rank);
  if (!model.is_classifier())
    return evaluate_pretraining(flags, pass, rank, model,
                                read_clip_sources(flags.evaluation.data, *log, lists), log);
  const LabelSet labels = labels_of(model, flags.labels);
  return evaluate_classes(flags, pass, rank, model, labels,
                          read_clip_sources(flags.evaluation.data, *log, lists, &labels), log);
}

int run(const EvaluateFlags& flags, const GlobalOptions& global) {
  const DistFlags& dist = flags.evaluation.dist;
  return on_ranks(dist, dist.launch(), global,
                  [&](const RankOfLaunch& rank) { return evaluate(flags, global, rank); });
}

}  // namespace

void add_evaluate(CLI::App& app, Program& program) {
  describe(
      app,
      "Of a classifier mAP, mAUC, d', accuracy, and every class with --classes or --json. Of a pretrained model losses and\n"
      "contrastive accuracy under the masks of its run's validations (the batch size is its run's too), and retrieval,\n"
      "all of each clip's middle picture: --frames is for classifiers.",
      {"cavmae evaluate --checkpoint finetuned.pth --labels class_labels_indices.csv --data eval.json",
       "cavmae evaluate --checkpoint run --data held_out --json numbers.json"});
  auto flags = std::make_shared<EvaluateFlags>();
  flags->evaluation.frames = "all";
  flags->evaluation.add(app, HeadUse::if_any, DecoderUse::if_any);
  add_labels_flag(app, flags->labels);
  app.add_flag("--classes", flags->classes, "print every class");
  app.add_flag(
      "--no-modality-confusion", flags->no_confusion,
      "do not score the clips by sound alone and by pictures alone as well, which takes as long again");
  add_json_flag(app, flags->json);
  app.callback([=, &program] { program.action = [=, &program] { return run(*flags, program.global); }; });
}

}  // namespace cavmae::apps
