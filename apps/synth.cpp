// cavmae synth: video clips whose looks and sounds correspond.
#include "cavmae/synth/synth.h"

#include <fmt/format.h>

#include "cavmae/core/stop_signal.h"

#include "apps/command.h"

namespace cavmae::apps {

void add_synth(CLI::App& app, Program& program) {
  describe(
      app,
      "Real .mp4 files of moving shapes (shape and timbre, height and pitch, size and loudness, bounces and beats, colour\n"
      "and vibrato correspond), and a manifest with every hidden parameter. A clip depends on the seed and its number\n"
      "alone; a stopped job goes on where it was.");
  auto out = std::make_shared<std::filesystem::path>();
  auto flags = std::make_shared<OptionFlags>();
  app.add_option("--out", *out, "folder that receives clips and manifest.jsonl")
      ->required()
      ->type_name("DIR");
  flags->add(app, SynthOptions{}, "Clips");
  flags->add_alias(app, "num_workers", "--workers");
  app.callback([=, &program] {
    program.action = [=, &program] {
      SynthOptions options;
      flags->apply(options);
      options.show_progress = !program.global.quiet;
      const StopSignal stop_signal;
      const auto log = make_log(program.global.verbosity());
      make_clips(*out, options, *log);
      fmt::print("{} clips in {}\n", options.num_clips, out->string());
      return 0;
    };
  });
}

}  // namespace cavmae::apps
