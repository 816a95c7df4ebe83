// cavmae pack: a data set as tar shards.
#include "cavmae/data/pack.h"

#include <charconv>

#include <fmt/format.h>

#include "cavmae/core/files.h"
#include "cavmae/core/text.h"
#include "cavmae/data/read_clips.h"

#include "apps/command.h"
#include "apps/list_flags.h"

namespace cavmae::apps {
namespace {

struct PackFlags {
  std::vector<std::filesystem::path> data;
  std::filesystem::path out;
  std::string shard_size = "1GB";
  std::optional<int64_t> frames, resize;
  std::optional<double> window_seconds;
  PackOptions options;
  ListFlags lists;
  std::filesystem::path json;
};

// "500MB", "1GB", "1000000".
int64_t bytes_of(const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string unit = lower(trim(std::string_view(end, text.data() + text.size())));
  const double factor = unit.empty() || unit == "b" ? 1
                        : unit == "kb"              ? 1e3
                        : unit == "mb"              ? 1e6
                        : unit == "gb"              ? 1e9
                                                    : 0;
  CAVMAE_CHECK_AS(ConfigError,
                  error == std::errc() && factor > 0 && number * factor >= 1 && number * factor < 1e15,
                  "--shard-size: '", text, "' is no size; write 500MB or 1GB");
  return static_cast<int64_t>(number * factor);
}

// Nothing: the clips' files as they are.
std::optional<PreparedPictures> prepared_by(const PackFlags& flags) {
  const char* needless = flags.resize ? "--resize" : flags.window_seconds ? "--window-seconds" : "";
  CAVMAE_CHECK_AS(ConfigError, flags.frames || *needless == '\0', needless,
                  " is of the clips that --frames N prepares; without --frames they are packed as they are: "
                  "give both or neither");
  if (!flags.frames) return std::nullopt;
  const PreparedPictures usual;
  return PreparedPictures{.num_frames = *flags.frames,
                          .shorter_side_px = flags.resize.value_or(usual.shorter_side_px),
                          .window_seconds = flags.window_seconds.value_or(usual.window_seconds)};
}

int run(const PackFlags& flags, const GlobalOptions& global) {
  auto log = make_log(global.verbosity());
  PackOptions options = flags.options;
  options.shard_bytes = bytes_of(flags.shard_size);
  options.show_progress = !global.quiet;
  options.prepare = prepared_by(flags);
  const ClipList clips = read_clip_sources(flags.data, *log, flags.lists.options());
  const PackResult result = pack_clips(clips, flags.out, options, log);
  if (flags.json != "-")
    fmt::print("{} clips -> {} ({} shards, {})\n", result.clips, flags.out.string(), result.shards,
               human_bytes(static_cast<double>(result.bytes)));
  write_json_result(flags.json, {{"out", flags.out.string()},
                                 {"clips", result.clips},
                                 {"shards", result.shards},
                                 {"bytes", result.bytes},
                                 {"failed", result.failed.size()}});
  return 0;
}

}  // namespace

void add_pack(CLI::App& app, Program& program) {
  describe(
      app,
      "Writes clips into tar shards of the WebDataset kind, each with an index beside it, which every command reads\n"
      "by --data DIR or --data 'DIR/shard-{000000..000042}.tar'. A clip keeps its id, so that training on the shards is\n"
      "training on the files. --frames prepares clips: one window of sound at 16 kHz and so many pictures of it,\n"
      "which is small and quick to read, and fixes the window. A stopped job goes on where it was.",
      {"cavmae pack --data videos --out shards --shard-size 1GB",
       "cavmae pack --data videos.jsonl --out prepared --frames 10 --resize 256"});
  auto flags = std::make_shared<PackFlags>();
  app.add_option("--data", flags->data,
                 "clips: a folder, a list, a manifest, or a file; may be given several times")
      ->required()
      ->type_name("PATH");
  app.add_option("--out", flags->out, "folder that receives the shards")->required()->type_name("DIR");
  app.add_option("--shard-size", flags->shard_size, "a shard is closed when it has as many bytes [1GB]")
      ->type_name("SIZE");
  app.add_option("--frames", flags->frames, "prepare clips with as many pictures [the files as they are]")
      ->type_name("N")
      ->check(CLI::Range(1, 1000));
  app.add_option("--resize", flags->resize,
                 fmt::format("with --frames: shorter side of those pictures, in pixels [{}]",
                             PreparedPictures().shorter_side_px))
      ->type_name("N")
      ->check(CLI::Range(16, 4096));
  app.add_option("--window-seconds", flags->window_seconds,
                 fmt::format("with --frames: length of the window that is prepared [{}]",
                             PreparedPictures().window_seconds))
      ->type_name("SECONDS")
      ->check(CLI::Range(0.1, 3600.0));
  app.add_option("--num-workers", flags->options.num_workers,
                 fmt::format("threads that prepare clips [{}]", flags->options.num_workers))
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  app.add_option("--clip-timeout", flags->options.clip_timeout,
                 fmt::format("seconds that preparing a clip may take (0: any time) [{}]",
                             flags->options.clip_timeout))
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, 1e9));
  app.add_option("--max-bad-ratio", flags->options.max_bad_ratio,
                 fmt::format("stop when more than this share of the clips cannot be read [{}]",
                             flags->options.max_bad_ratio))
      ->type_name("")
      ->check(CLI::Range(0.0, 1.0));
  flags->lists.add(app);
  add_json_flag(app, flags->json);
  app.callback([=, &program] { program.action = [=, &program] { return run(*flags, program.global); }; });
}

}  // namespace cavmae::apps
