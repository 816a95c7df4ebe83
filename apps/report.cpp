// cavmae report: a run as one HTML page that opens offline.
#include "cavmae/report/report.h"

#include <fmt/format.h>

#include "cavmae/media/has_media.h"
#include "cavmae/report/collect.h"
#include "cavmae/train/run_folder.h"
#include "cavmae/train/trained_with.h"

#include "apps/model_flags.h"
#include "apps/run_report.h"

namespace cavmae::apps {
namespace {

// The masks and targets that the run trained with.
ReportExampleOptions report_example_options(const RunReportOptions& options, const PretrainOptions& trained,
                                            const GlobalOptions& global) {
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

ReportContent pretraining_report(const RunReportOptions& options, const PretrainOptions& trained,
                                 const GlobalOptions& global, std::shared_ptr<Log> log) {
  const RunPaths saved = read_run_paths(options.run);
  std::vector<std::filesystem::path> data = options.data;
  if (data.empty()) data = saved.val.empty() ? saved.data : saved.val;
  RunReportOptions resolved = options;
  if (resolved.cache.empty()) resolved.cache = saved.cache;
  LoadOptions load;
  load.runtime = options.runtime;
  load.precision = options.precision;
  load.reading = options.reading;
  const Pretrained model = load_model(options.run, load, *log);
  CavMae network = model.network();
  const auto clips = read_clip_sources(data, *log, options.lists.options(saved.lists));
  const ReportExampleOptions example_options = report_example_options(resolved, trained, global);
  ReportContent content = read_run(options.run);
  add_examples(content, make_report_examples(network, model.spec, clips, example_options, log),
               example_options);
  content.notes.push_back("Retrieval and examples were computed in " + enum_name(network->precision()) + ".");
  if (model.spec.alignment == Alignment::picture)
    content.notes.push_back(fmt::format(
        "Retrieval and examples compare one vector a clip, {}; 'cavmae retrieve' compares all {} "
        "pictures, each with its sound.",
        options.frames == FrameChoice::all ? "the mean over its pictures, or their sounds"
                                           : "that of its middle picture, or of the sound around it",
        model.spec.num_frames));
  return content;
}

}  // namespace

void write_run_report(const RunReportOptions& options, const GlobalOptions& global,
                      std::shared_ptr<Log> log) {
  const std::filesystem::path page = options.out.empty() ? options.run / "report.html" : options.out;
  const TrainedWith trained = training_of(options.run);
  const ReportContent content =
      trained.finetuning
          ? read_run(options.run)
          : pretraining_report(options, trained.pretraining.value_or(PretrainOptions{}), global, log);
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
  options->lists.add(app);
  app.add_option("--cache", options->cache, "folder that keeps decoded clips")->type_name("DIR");
  app.add_option("--frames", *frames, "pictures of a clip: middle, or all (their mean) [middle]")
      ->type_name("");
  app.add_option("--out", options->out, "the page to write [RUN/report.html]")
      ->type_name("FILE")
      ->check(writable_file());
  auto precision = std::make_shared<std::string>("fp32");
  add_precision_flag(app, *precision);
  auto runtime_flags = std::make_shared<OptionFlags>();
  add_runtime_flags(app, *runtime_flags);
  auto reading = std::make_shared<ReadingFlags>();
  reading->add(app);
  app.callback([=, &program] {
    program.action = [=, &program] {
      options->precision = precision_choice(*precision);
      options->runtime = runtime_options(*runtime_flags);
      options->reading = reading->reading();
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
