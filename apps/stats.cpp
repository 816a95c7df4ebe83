// cavmae stats: mean and deviation of a data set's filterbanks, for --fbank-mean and --fbank-std.
#include "cavmae/eval/stats.h"

#include <fmt/format.h>

#include "cavmae/eval/shared_pass.h"

#include "apps/dist_flags.h"
#include "apps/list_flags.h"
#include "apps/window_flags.h"

namespace cavmae::apps {
namespace {

struct StatsFlags {
  std::vector<std::filesystem::path> data;
  std::filesystem::path cache, json;
  OptionFlags spec, loader;
  WindowFlags windows;
  ListFlags lists;
  DistFlags dist;
};

int measure(const StatsFlags& flags, const GlobalOptions& global, const RankOfLaunch& rank) {
  InputSpec spec;
  flags.spec.apply(spec);
  spec.validate();
  PassOptions options{.loader = {.batch_size = 16},
                      .cache_dir = flags.cache,
                      .show_progress = !global.quiet && rank.is_first(),
                      .world = rank.world};
  flags.loader.apply(options.loader);
  options.need = Need::audio;
  flags.windows.check(options.view);
  auto log = make_log(verbosity_of(rank, global));
  const ClipList clips =
      flags.windows.of(read_clip_sources(flags.data, *log, flags.lists.options()), spec, options, log);
  check_ranks_share({.clips = clips, .options = options, .spec = spec}, nullptr);
  const FbankStats stats = compute_fbank_stats(clips, spec, options, log);
  rank.leave();
  if (!rank.is_first()) return 0;
  if (flags.json != "-") {
    fmt::print("mean {:.4f}, standard deviation {:.4f}, over {} {}\n", stats.mean, stats.std, stats.num_clips,
               flags.windows.given() ? "windows" : "clips");
    fmt::print("train with: --fbank-mean {:.4f} --fbank-std {:.4f}\n", stats.mean, stats.std);
  }
  write_json_result(flags.json, {{"fbank_mean", stats.mean},
                                 {"fbank_std", stats.std},
                                 {"clips", stats.num_clips},
                                 {"failed", stats.bad_clips.size()}});
  return 0;
}

int run(const StatsFlags& flags, const GlobalOptions& global) {
  return on_ranks(flags.dist, flags.dist.launch(), global,
                  [&](const RankOfLaunch& rank) { return measure(flags, global, rank); });
}

}  // namespace

void add_stats(CLI::App& app, Program& program) {
  describe(
      app,
      "Reads every clip's sound and computes what its filterbank is normalised by. --windows all reads the whole of\n"
      "long files, not their middle alone.");
  auto flags = std::make_shared<StatsFlags>();
  app.add_option("--data", flags->data, "clips; may be given several times")->required()->type_name("PATH");
  app.add_option("--cache", flags->cache, "folder that keeps decoded clips")->type_name("DIR");
  add_json_flag(app, flags->json);
  flags->windows.add(app);
  flags->spec.add(app, InputSpec{}, "Features",
                  {"fbank_mean", "fbank_std", "image_size", "num_frames", "exif"});
  flags->lists.add(app);
  flags->dist.add(app);
  flags->loader.add(app, LoaderOptions{.batch_size = 16}, "Reading clips");
  app.callback([=, &program] { program.action = [=, &program] { return run(*flags, program.global); }; });
}

}  // namespace cavmae::apps
