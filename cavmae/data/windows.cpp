#include "cavmae/data/windows.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/core/progress.h"
#include "cavmae/core/time_limit.h"
#include "cavmae/data/opened_clip.h"
#include "cavmae/data/worker_thread.h"

namespace cavmae {
namespace {

constexpr double kShortestHop = 0.01;  // a frame of the filterbank
constexpr double kPerSecond = 1000.0;  // starts are whole milliseconds, as ids and the cache have them

int64_t milliseconds(double seconds) {
  return std::llround(seconds * kPerSecond);
}

std::vector<double> in_seconds(const std::vector<int64_t>& starts) {
  std::vector<double> out;
  for (const int64_t start : starts) out.push_back(static_cast<double>(start) / kPerSecond);
  return out;
}

// A clip that comes from no list may have no id: then it is called as its file.
std::string name_of(const ClipSource& clip) {
  if (!clip.id.empty()) return clip.id;
  const MediaSource& source = !clip.audio.empty()   ? clip.audio
                              : !clip.video.empty() ? clip.video
                                                    : clip.frames.at(0);
  return std::filesystem::path(source.name()).stem().string();
}

ClipSource window_at(const ClipSource& clip, double start_seconds) {
  ClipSource window = clip;
  window.file = name_of(clip);
  window.id = window_id(window.file, start_seconds);
  window.start_seconds = start_seconds;
  return window;
}

// What decides where windows lie; nothing when the clip cannot be opened. Where either side will do, one that
// cannot be opened leaves it to the other.
std::optional<StreamTimes> times_of(const ClipSource& clip, const ClipReader& reader, Need need) {
  const std::vector<Need> tries =
      need == Need::any ? std::vector{Need::any, Need::audio, Need::video} : std::vector{need};
  for (const Need one : tries) {
    try {
      return reader.clip_times(clip, one);
    } catch (const MediaError&) {
      // Told when the clip is read.
    }
  }
  return std::nullopt;
}

}  // namespace

void WindowSpacing::validate() const {
  Problems problems;
  problems.require(!count || *count >= 1, "the number of windows is ", count.value_or(0),
                   "; it must be at least 1");
  problems.require(!hop_seconds || (std::isfinite(*hop_seconds) && *hop_seconds >= kShortestHop),
                   "the hop between windows is ", hop_seconds.value_or(0), " s; it must be at least ",
                   kShortestHop, " s");
  problems.require(!count || !hop_seconds,
                   "a number of windows is spread evenly, so it takes no hop between them; give one of both");
  problems.throw_if_any("the windows do not fit");
}

std::vector<double> window_starts(double clip_seconds, double window_seconds, const WindowSpacing& spacing) {
  spacing.validate();
  const int64_t last = std::max<int64_t>(0, milliseconds(clip_seconds - window_seconds));
  std::vector<int64_t> starts;
  if (spacing.count) {
    const auto n = std::min(*spacing.count, last + 1);
    if (n == 1) return in_seconds({last / 2});
    for (int64_t i = 0; i < n; ++i)
      starts.push_back(
          std::llround(static_cast<double>(last) * static_cast<double>(i) / static_cast<double>(n - 1)));
    return in_seconds(starts);
  }
  const double hop = spacing.hop_seconds.value_or(window_seconds / 2);
  for (int64_t i = 0;; ++i) {
    const int64_t start = milliseconds(static_cast<double>(i) * hop);
    if (start >= last) break;
    starts.push_back(start);
  }
  starts.push_back(last);
  return in_seconds(starts);
}

std::string window_id(const std::string& file, double start_seconds) {
  return fmt::format("{}@{:.3f}", file, start_seconds);
}

std::vector<ClipSource> windows_of_clip(const ClipSource& clip, const ClipReader& reader, Need need,
                                        const WindowSpacing& spacing) {
  spacing.validate();
  if (clip.start_seconds) return {window_at(clip, *clip.start_seconds)};
  const auto times = times_of(clip, reader, need);
  if (!times) return {clip};
  // From a whole millisecond on, as the starts are.
  const double begin = std::ceil(times->start_seconds * kPerSecond) / kPerSecond;
  std::vector<ClipSource> windows;
  for (const double start : window_starts(times->end_seconds - begin, reader.spec().window_seconds, spacing))
    windows.push_back(window_at(clip, in_seconds({milliseconds(begin + start)}).front()));
  return windows;
}

std::vector<ClipSource> windows_of_clips(const ClipList& clips, const ClipReader& reader,
                                         const WindowListOptions& options) {
  options.spacing.validate();
  Progress progress({.title = "finding windows",
                     .total = static_cast<int64_t>(clips.size()),
                     .quiet = !options.show_progress});
  std::vector<std::vector<ClipSource>> found(clips.size());
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr failure;
  int64_t num_done = 0;
  const auto work = [&] {
    try {
      for (size_t i = next++; i < clips.size(); i = next++) {
        const TimeLimit limit(options.clip_timeout);
        found[i] = windows_of_clip(clips[i], reader, options.need, options.spacing);
        const std::lock_guard lock(mutex);
        progress.update(++num_done);
      }
    } catch (...) {
      next = clips.size();
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
  };
  std::vector<std::thread> workers;
  for (int64_t i = 0; i < std::min<int64_t>(options.num_workers, static_cast<int64_t>(clips.size())); ++i)
    workers.emplace_back([&] {
      keep_torch_on_this_thread();
      work();
    });
  if (workers.empty()) work();
  for (std::thread& worker : workers) worker.join();
  if (failure) std::rethrow_exception(failure);
  progress.clear();
  std::vector<ClipSource> out;
  for (auto& windows : found)
    out.insert(out.end(), std::make_move_iterator(windows.begin()), std::make_move_iterator(windows.end()));
  return out;
}

bool follows(const ClipSource& clip, const ClipSource& next) {
  return !clip.file.empty() && clip.file == next.file && clip.start_seconds < next.start_seconds;
}

struct ClipWindows::State {
  std::vector<ClipSource> windows;
  std::shared_ptr<const ClipReader> reader;
  ViewOptions view;
  Need need;
  OpenedClip opened;
  size_t next = 0;
};

ClipWindows::ClipWindows(std::vector<ClipSource> windows, std::shared_ptr<const ClipReader> reader,
                         ViewOptions view, Need need) {
  CAVMAE_CHECK(view.is_deterministic(), "ClipWindows: a view that draws nothing");
  std::vector<double> starts;
  for (size_t i = 0; i < windows.size(); ++i) {
    CAVMAE_CHECK(i == 0 || follows(windows[i - 1], windows[i]), "ClipWindows: '", windows[i].id,
                 "' is no later window of the same clip");
    if (windows[i].start_seconds) starts.push_back(*windows[i].start_seconds);
  }
  state_.reset(new State{.windows = std::move(windows),
                         .reader = std::move(reader),
                         .view = view,
                         .need = need,
                         .opened = OpenedClip(std::move(starts))});
}

ClipWindows::~ClipWindows() = default;
ClipWindows::ClipWindows(ClipWindows&&) noexcept = default;
ClipWindows& ClipWindows::operator=(ClipWindows&&) noexcept = default;

const std::vector<ClipSource>& ClipWindows::windows() const {
  return state_->windows;
}

std::optional<ClipWindowSample> ClipWindows::next() {
  constexpr uint64_t kNothingDrawn = 0;
  State& s = *state_;
  if (s.next == s.windows.size()) return std::nullopt;
  const ClipSource& window = s.windows[s.next++];
  return ClipWindowSample{.id = window.id,
                          .start_seconds = window.start_seconds.value_or(0.0),
                          .sample = s.reader->read(window, s.view, s.need, kNothingDrawn, &s.opened)};
}

ClipWindows windows_of(const ClipSource& source, const InputSpec& spec, double hop_seconds,
                       const WindowsOfOptions& options) {
  const WindowSpacing spacing{.count = std::nullopt, .hop_seconds = hop_seconds};
  auto reader = std::make_shared<const ClipReader>(spec, options.cache_dir, options.log);
  auto windows = windows_of_clip(source, *reader, options.need, spacing);
  if (windows.size() == 1 && windows[0].file.empty()) reader->clip_times(source, options.need);  // says why
  return {std::move(windows), std::move(reader), options.view, options.need};
}

}  // namespace cavmae
