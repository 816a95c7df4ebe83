// Every window of a long clip, or N of them: which ones there are, each as a clip of its own, and the
// iterator that reads them front to back. One owner an iterator; the functions are safe from any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/data/clip_reader.h"

namespace cavmae {

struct WindowSpacing {
  std::optional<int64_t> count = std::nullopt;       // so many, evenly spread; nothing: every one
  std::optional<double> hop_seconds = std::nullopt;  // between starts where every one is taken; half a window

  // One ConfigError listing every bad field.
  void validate() const;
};

// Where the windows of a clip begin, ascending, in whole milliseconds. Every one: each `hop_seconds` from 0
// on, and last the one that ends where the clip ends. A count: from the first to the last, 1: the middle one.
// A clip that is no longer than a window, or whose length is not known (0), has one, from 0 on.
std::vector<double> window_starts(double clip_seconds, double window_seconds, const WindowSpacing& spacing);

// "lecture@12.500"
std::string window_id(const std::string& file, double start_seconds);

// The windows of a clip, from where all its sides begin to where one ends, as clips that are pinned to their
// starts, with `file` and an id each. A clip that its list pins is one window, and one that cannot be opened
// is returned as it is: it fails when it is read. `need`: the sides that decide.
std::vector<ClipSource> windows_of_clip(const ClipSource& clip, const ClipReader& reader, Need need,
                                        const WindowSpacing& spacing);

struct WindowListOptions {
  Need need = Need::both;
  WindowSpacing spacing = {};
  int64_t num_workers = 2;    // threads that open files
  double clip_timeout = 0.0;  // seconds that opening one may take; 0: any time
  bool show_progress = false;
};
// Those of all clips, in the clips' order.
std::vector<ClipSource> windows_of_clips(const ClipList& clips, const ClipReader& reader,
                                         const WindowListOptions& options);

// Whether `next` is a later window of the clip that `clip` is a window of.
bool follows(const ClipSource& clip, const ClipSource& next);

struct ClipWindowSample {
  std::string id;
  double start_seconds = 0.0;
  Sample sample;
};

class ClipWindows {
 public:
  // `windows`: of one clip, ascending. `view` must be deterministic.
  ClipWindows(std::vector<ClipSource> windows, std::shared_ptr<const ClipReader> reader, ViewOptions view,
              Need need);
  ~ClipWindows();
  ClipWindows(ClipWindows&&) noexcept;
  ClipWindows& operator=(ClipWindows&&) noexcept;

  const std::vector<ClipSource>& windows() const;
  // The next window, or nothing at the end. After a MediaError the next call goes on behind it. Bit for bit
  // as ClipReader::read() of it alone, but for noise that AAC's decoder makes up; sources are decoded once,
  // and memory does not grow with the clip's length.
  std::optional<ClipWindowSample> next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct WindowsOfOptions {
  ViewOptions view = {};
  Need need = Need::any;
  std::filesystem::path cache_dir = {};  // may be empty: no cache
  std::shared_ptr<Log> log = nullptr;    // hears of a cache that cannot take more
};
// Every window of a clip, `hop_seconds` apart. Throws ConfigError, and MediaError when the clip cannot be
// opened.
ClipWindows windows_of(const ClipSource& source, const InputSpec& spec, double hop_seconds,
                       const WindowsOfOptions& options = {});

}  // namespace cavmae
