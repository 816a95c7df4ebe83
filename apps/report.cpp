// cavmae report: a run as one HTML page that opens offline.
#include "cavmae/report/report.h"

#include <fmt/format.h>

#include "cavmae/media/has_media.h"
#include "cavmae/report/collect.h"
#include "cavmae/train/pretrain_options.h"
#include "cavmae/train/run_folder.h"

#include "apps/evaluation.h"
#include "apps/run_report.h"

namespace cavmae::apps {
namespace {

// Whether a run made a classifier.
bool is_finetuning(const std::filesystem::path& run) {
  const std::filesystem::path config = run / "config.json";
  return std::filesystem::exists(config) && read_json(config).contains("head_lr_scale");
}

// The masks and targets that the run trained with.
ReportExampleOptions report_example_options(const RunReportOptions& options, const GlobalOptions& global) {
  PretrainOptions trained;
  const std::filesystem::path config = options.run / "config.json";
  option_from_json(read_json(config), trained, config.string());
  ReportExampleOptions examples;
  examples.pass.view.frames = options.frames;
  examples.masks = trained.mask;
  examples.normalized_targets = trained.objective.normalize_targets;
  examples.seed = static_cast<uint64_t>(trained.seed);
  examples.pass.loader = trained.loader;
  examples.pass.loader.batch_size = std::min<int64_t>(trained.loader.batch_size, 16);
  examples.pass.cache_dir = options.cache;
  examples.pass.show_progress = !global.quiet;
  return examples;
}

ReportContent pretraining_report(const RunReportOptions& options, const GlobalOptions& global,
                                 std::shared_ptr<Log> log) {
  const RunPaths saved = read_run_paths(options.run);
  std::vector<std::filesystem::path> data = options.data;
  if (data.empty()) data = saved.val.empty() ? saved.data : saved.val;
  RunReportOptions resolved = options;
  if (resolved.cache.empty()) resolved.cache = saved.cache;
  auto [loaded, spec] = load_for_evaluation(options.run, options.device, *log);
  const auto clips = read_clip_sources(data, *log);
  return collect_report(options.run, loaded.model, spec, clips, report_example_options(resolved, global),
                        log);
}

}  // namespace

void write_run_report(const RunReportOptions& options, const GlobalOptions& global,
                      std::shared_ptr<Log> log) {
  const std::filesystem::path page = options.out.empty() ? options.run / "report.html" : options.out;
  const ReportContent content =
      is_finetuning(options.run) ? read_run(options.run) : pretraining_report(options, global, log);
  write_report(page, content);
  fmt::print("report: {}\n", page.string());
}

void write_final_report(const RunReportOptions& options, const GlobalOptions& global,
                        std::shared_ptr<Log> log) {
  if (has_media())
    write_run_report(options, global, log);
  else
    log->info("no report: this cavmae was built without media libraries");
}

void add_report(CLI::App& app, Program& program) {
  describe(
      app,
      "One page that opens offline: curves, retrieval, example queries with their pictures and spectrograms,\n"
      "reconstructions, settings. Shows clips of --data, or those that the run validated with.");
  auto options = std::make_shared<RunReportOptions>();
  auto frames = std::make_shared<std::string>("middle");
  app.add_option("run", options->run, "the run's folder")->required()->type_name("RUN");
  app.add_option("--data", options->data, "clips to show; may be given several times")->type_name("PATH");
  app.add_option("--cache", options->cache, "folder that keeps decoded clips")->type_name("DIR");
  app.add_option("--frames", *frames, "pictures of a clip: middle, or all (their mean) [middle]")
      ->type_name("");
  app.add_option("--out", options->out, "the page to write [RUN/report.html]")->type_name("FILE");
  auto device_flags = std::make_shared<OptionFlags>();
  add_device_flag(app, *device_flags);
  app.callback([=, &program] {
    program.action = [=, &program] {
      options->device = device_options(*device_flags);
      option_from_json(Json(*frames), options->frames, "--frames");
      CAVMAE_CHECK_AS(ConfigError, options->frames != FrameChoice::random,
                      "--frames: allowed are middle and all");
      const auto log = make_log(program.global.verbosity());
      write_run_report(*options, program.global, log);
      return 0;
    };
  });
}

}  // namespace cavmae::apps
