#include "apps/window_flags.h"

#include <charconv>
#include <set>

#include <fmt/format.h>

namespace cavmae::apps {

void WindowFlags::add(CLI::App& app) {
  constexpr const char* kGroup = "Windows of longer files";
  app.add_option("--windows", windows,
                 "all: every window of each file, half a window apart; or a number: so many, evenly spread\n"
                 "[one, the middle]")
      ->type_name("all|N")
      ->group(kGroup);
  app.add_option("--hop", hop_seconds,
                 "with --windows all: seconds between the starts of windows [half a window]")
      ->type_name("SECONDS")
      ->group(kGroup);
}

WindowSpacing WindowFlags::spacing() const {
  WindowSpacing out{.count = std::nullopt, .hop_seconds = hop_seconds};
  if (windows == "all") return out;
  int64_t count = 0;
  const char* end = windows.data() + windows.size();
  const auto read = std::from_chars(windows.data(), end, count);
  CAVMAE_CHECK_AS(ConfigError, read.ec == std::errc() && read.ptr == end && count >= 1, "--windows is '",
                  windows, "'; allowed are all and a number from 1 on");
  out.count = count;
  return out;
}

void WindowFlags::check(const ViewOptions& view) const {
  CAVMAE_CHECK_AS(ConfigError, given() || !hop_seconds, "--hop is for --windows all; give that too");
  if (!given()) return;
  const WindowSpacing wanted = spacing();
  CAVMAE_CHECK_AS(ConfigError, !wanted.count || !hop_seconds, "--hop is for --windows all; ", windows,
                  " windows are spread evenly");
  wanted.validate();
  CAVMAE_CHECK_AS(ConfigError, !view.window_start,
                  "--window-start pins one window and --windows asks for others; give one of both");
}

ClipList WindowFlags::of(const ClipList& clips, const InputSpec& spec, const PassOptions& pass,
                         const std::shared_ptr<Log>& log) const {
  check(pass.view);
  if (!given()) return clips;
  const ClipReader reader(spec, pass.cache_dir, log);
  std::vector<ClipSource> found = windows_of_clips(clips, reader,
                                                   {.need = pass.need,
                                                    .spacing = spacing(),
                                                    .num_workers = pass.loader.num_workers,
                                                    .clip_timeout = pass.loader.clip_timeout,
                                                    .show_progress = pass.show_progress});
  log->info("{} windows of {} files", found.size(), clips.size());
  return found;
}

int64_t num_files(const ClipList& clips, const std::vector<int64_t>& indices) {
  std::set<std::string> files;
  for (const int64_t index : indices) files.insert(clips[index].file);
  return static_cast<int64_t>(files.size());
}

std::string count_text(const ClipList& clips, const std::vector<int64_t>& indices) {
  if (indices.empty() || clips[indices[0]].file.empty()) return fmt::format("{} clips", indices.size());
  return fmt::format("{} windows of {} files", indices.size(), num_files(clips, indices));
}

}  // namespace cavmae::apps
