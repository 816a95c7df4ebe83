#include "apps/one_clip.h"

#include <fmt/format.h>

#include "cavmae/core/time_limit.h"
#include "cavmae/eval/model.h"

namespace cavmae::apps {

void OneClipFlags::add(CLI::App& app, DecoderUse decoder) {
  app.add_option("file", file, "a media file, or a list or manifest of clips with --clip")
      ->required()
      ->type_name("FILE");
  model.add(app, HeadUse::leave_out, decoder);
  app.add_option("--out", out, "the PNG file to write")
      ->required()
      ->type_name("FILE")
      ->check(writable_file());
  app.add_option("--clip", clip, "which clip of a list, by its id")->type_name("ID");
  app.add_option("--window-start", window_start,
                 "pin the window's start in longer files, in seconds [the middle]")
      ->type_name("");
  lists.add(app);
  app.add_option(
         "--clip-timeout", clip_timeout,
         "seconds that reading the clip may take (0: any time) [" + fmt::format("{}", clip_timeout) + "]")
      ->type_name("");
  add_json_flag(app, json);
}

ClipSource OneClipFlags::source(Log& log) const {
  const ClipList clips = read_clip_sources({file}, log, lists.options());
  if (clip.empty()) {
    CAVMAE_CHECK_AS(DataError, clips.size() == 1, file.string(), ": holds ", clips.size(),
                    " clips; choose one with --clip ID, the first is '", clips.id(0), "'");
    return clips.front();
  }
  std::vector<std::string> ids;
  for (size_t i = 0; i < clips.size(); ++i) {
    if (clips.id(i) == clip) return clips[i];
    ids.emplace_back(clips.id(i));
  }
  const std::string near = nearest_word(clip, ids);
  throw DataError(concat(file.string(), ": none of its ", ids.size(), " clips is called '", clip, "'",
                         near.empty() ? "" : " (did you mean '" + near + "'?)"));
}

Sample OneClipFlags::read(const ClipSource& source, const Pretrained& from, FrameChoice frames,
                          std::shared_ptr<Log> log) const {
  const Need need = needed_of(from.network()->config());
  ViewOptions view{.frames = frames};
  option_from_json(option_text_to_json<std::optional<double>>(window_start, "--window-start"),
                   view.window_start, "--window-start");
  const TimeLimit limit(clip_timeout);
  Sample sample = ClipReader(from.spec, {}, std::move(log)).read(source, view, need, /*seed=*/0);
  limit.check_kept();
  return sample;
}

}  // namespace cavmae::apps
