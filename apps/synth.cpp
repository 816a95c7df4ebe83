// cavmae synth: video clips whose looks and sounds correspond.
#include "cavmae/synth/synth.h"

#include <fmt/format.h>

#include "cavmae/core/stop_signal.h"

#include "apps/command.h"

namespace cavmae::apps {

void add_synth(Program& program) {
  CLI::App* app = program.root.add_subcommand("synth", "Make video clips to learn from");
  app->description(
      "Makes real .mp4 files of moving shapes whose looks and sounds correspond (shape and timbre, height and pitch,\n"
      "size and loudness, bounces and beats, colour and vibrato), and a manifest with every hidden parameter.\n"
      "A clip depends on the seed and its number alone; a stopped job goes on where it was.\n\n"
      "Example: cavmae synth --out clips --clips 1000 --seed 1");
  auto out = std::make_shared<std::filesystem::path>();
  auto flags = std::make_shared<OptionFlags>();
  app->add_option("--out", *out, "folder that receives clips and manifest.jsonl")
      ->required()
      ->type_name("DIR");
  flags->add(*app, SynthOptions{}, "Clips");
  app->callback([=, &program] {
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
