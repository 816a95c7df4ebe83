// cavmae ablate: a grid of short pretraining runs and a table of what each is worth.
#include <fmt/format.h>

#include "cavmae/train/ablation.h"
#include "cavmae/train/ablation_table.h"

#include "apps/command.h"
#include "apps/configs.h"
#include "apps/list_flags.h"
#include "apps/model_flags.h"
#include "apps/training.h"

namespace cavmae::apps {
namespace {

struct AblateFlags {
  std::string config = "cav-mae";
  std::vector<std::string> over;
  std::vector<std::filesystem::path> data, val;
  std::filesystem::path out, cache, labels, json;
  OptionFlags options;
  ListFlags lists;
};

Compute compute_of_run(const std::filesystem::path& run) {
  const std::filesystem::path file = run / "config.json";
  const Json config = read_json(file);
  Compute compute;
  if (config.contains("precision")) option_from_json(config["precision"], compute.precision, file.string());
  if (config.contains("runtime")) option_from_json(config["runtime"], compute.runtime, file.string());
  return compute;
}

int run(const AblateFlags& flags, const GlobalOptions& global) {
  const auto log = make_log(global.verbosity());
  AblationPlan plan{.axes = {},
                    .data = flags.data,
                    .val = flags.val,
                    .out = flags.out,
                    .cache = flags.cache,
                    .lists = flags.lists.options(),
                    .labels = flags.labels,
                    .options_of =
                        [&flags](const std::string& name) {
                          PretrainOptions options;
                          const NamedConfig config = find_config(name.empty() ? flags.config : name);
                          option_from_json(config.json, options, config.where);
                          flags.options.apply(options);
                          if (!options.init.empty()) options.init = std::filesystem::absolute(options.init);
                          return options;
                        },
                    .begin_run =
                        [log](RunOptions& options, const RunPaths& paths) {
                          EngineOrigin origin{.is_resumed = paths.start == RunStart::resume,
                                              .given = options.runtime.engine};
                          if (origin.is_resumed)
                            options.runtime.engine =
                                engines_of_resumed(compute_of_run(paths.out),
                                                   {options.precision, options.runtime}, origin.given);
                          take_engines(options.precision, options.runtime, origin, World::alone(), *log);
                        }};
  for (const std::string& text : flags.over) plan.axes.push_back(parse_ablation_axis(text));
  const AblationResult result = run_ablation(plan, {.show_progress = !global.quiet, .after_step = {}}, log);
  if (flags.json != "-") fmt::print("{}", ablation_table(result.rows));
  if (result.interrupted) {
    fmt::print("Stopped and saved. The same command goes on.\n");
    return kExitInterrupted;
  }
  if (!flags.json.empty()) write_json_result(flags.json, read_json(flags.out / "table.json"));
  if (flags.json != "-") fmt::print("{}\n", (flags.out / "table.md").string());
  return 0;
}

}  // namespace

void add_ablate(CLI::App& app, Program& program) {
  describe(
      app,
      "Pretrains once for every combination of the values of --over, under one seed, measures losses and\n"
      "retrieval on --val and, where every clip is labelled, a linear probe, and writes table.md and table.json\n"
      "to --out. --over names any option of a configuration, mask_ratio (both modalities'), init, or config\n"
      "(another system). A stopped job goes on where it was.",
      {"cavmae ablate --config tiny --over contrastive_weight=0.1,1 --over bidirectional=false,true \\\n"
       "              --data clips --val held_out --out contrast --epochs 5"});
  auto flags = std::make_shared<AblateFlags>();
  app.add_option("--config", flags->config, "a built-in configuration or a JSON file [cav-mae]")
      ->type_name("NAME|FILE");
  app.add_option("--over", flags->over, "an option and its values; may be given several times")
      ->required()
      ->type_name("OPTION=VALUE,..");
  app.add_option("--data", flags->data, "clips to learn from; may be given several times")
      ->required()
      ->type_name("PATH");
  app.add_option("--val", flags->val, "clips to measure with")->required()->type_name("PATH");
  app.add_option("--out", flags->out, "folder that receives the runs and the tables")
      ->required()
      ->type_name("DIR");
  app.add_option("--cache", flags->cache, "folder that keeps decoded clips")->type_name("DIR");
  app.add_option("--labels", flags->labels,
                 "classes of the linear probe: a CSV with index, mid, display_name [the clips' own labels]")
      ->type_name("FILE");
  flags->lists.add(app);
  add_json_flag(app, flags->json);
  flags->options.add(app, PretrainOptions{}, "Configuration");
  flags->options.add_word_flag(app, "resize_positions", kResizePositions);
  app.callback([=, &program] { program.action = [=, &program] { return run(*flags, program.global); }; });
}

}  // namespace cavmae::apps
