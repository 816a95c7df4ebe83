#include "apps/evaluation.h"

#include <algorithm>

#include "cavmae/core/error.h"

namespace cavmae::apps {

void EvaluationFlags::add(CLI::App& app, HeadUse head, DecoderUse decoder) {
  model.add(app, head, decoder);
  app.add_option("--data", data, "clips: a folder, a list, a manifest, or a file; may be given several times")
      ->type_name("PATH");
  app.add_option("--cache", cache, "folder that keeps decoded clips, so that the next time is quick")
      ->type_name("DIR");
  app.add_option("--frames", frames, concat("pictures of a clip: middle, or all (their mean) [", frames, "]"))
      ->type_name("");
  app.add_option("--window-start", window_start,
                 "pin the window's start in longer files, in seconds [the middle]")
      ->type_name("");
  loader.batch_size = 16;
  loader_flags.add(app, loader, "Reading clips");
  lists.add(app);
  dist.add(app);
}

PassOptions EvaluationFlags::pass_options(const GlobalOptions& global, const RankOfLaunch& rank) const {
  PassOptions options{.world = rank.world};
  options.loader = loader;
  loader_flags.apply(options.loader);
  option_from_json(Json(frames), options.view.frames, "--frames");
  CAVMAE_CHECK_AS(ConfigError, options.view.frames != FrameChoice::random,
                  "--frames: allowed are middle and all");
  option_from_json(option_text_to_json<std::optional<double>>(window_start, "--window-start"),
                   options.view.window_start, "--window-start");
  options.cache_dir = cache;
  options.show_progress = !global.quiet && rank.is_first();
  return options;
}

void report_failed(const std::vector<BadClip>& failed, Log& log) {
  if (failed.empty()) return;
  const bool whole = std::ranges::all_of(failed, [](const BadClip& c) { return c.side == ClipSide::both; });
  log.warn("{} clip{} could not be read{}:", failed.size(), failed.size() == 1 ? "" : "s",
           whole ? "" : ", or not whole");
  for (const BadClip& clip : failed) log.warn("  {}", to_line(clip));
}

}  // namespace cavmae::apps
