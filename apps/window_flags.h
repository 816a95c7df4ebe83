// The flags of the commands that may look at every window of a long file: embed, classify, retrieve, stats.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/data/windows.h"
#include "cavmae/eval/clip_passes.h"

#include "apps/command.h"

namespace cavmae::apps {

struct WindowFlags {
  std::string windows;  // empty: one window a file
  std::optional<double> hop_seconds;

  // Registers --windows and --hop.
  void add(CLI::App& app);
  bool given() const { return !windows.empty(); }
  // Throws ConfigError when the flags do not fit each other or the view.
  void check(const ViewOptions& view) const;
  // The clips as they are or, with --windows, their windows (data/windows.h) as pass.need and pass.view ask
  // for.
  ClipList of(const ClipList& clips, const InputSpec& spec, const PassOptions& pass,
              const std::shared_ptr<Log>& log) const;

 private:
  WindowSpacing spacing() const;
};

// "3 windows of 2 files", or "3 clips": of the clips at `indices`.
std::string count_text(const ClipList& clips, const std::vector<int64_t>& indices);
int64_t num_files(const ClipList& clips, const std::vector<int64_t>& indices);

}  // namespace cavmae::apps
