// What the commands share that look closely at one clip: inpaint, localize.
#pragma once

#include <filesystem>
#include <string>

#include "apps/evaluation.h"

namespace cavmae::apps {

struct OneClipFlags {
  std::filesystem::path file, checkpoint, out, json;
  std::string clip;  // its id, where `file` is a list of several
  std::string window_start = "none";
  OptionFlags device_flags;

  // Registers the file and --checkpoint, --out, --json, --clip, --window-start, --device.
  void add(CLI::App& app);
  // The clip that is meant. Throws DataError naming how many there are.
  ClipSource source(Log& log) const;
  // What the network takes of what the clip has.
  Sample read(const ClipSource& clip, const ModelToEvaluate& model, FrameChoice frames) const;
};

}  // namespace cavmae::apps
