// What the commands share that look closely at one clip: inpaint, localize.
#pragma once

#include <filesystem>
#include <string>

#include "cavmae/data/loader.h"

#include "apps/list_flags.h"
#include "apps/model_flags.h"

namespace cavmae::apps {

struct OneClipFlags {
  ModelFlags model;
  ListFlags lists;
  std::filesystem::path file, out, json;
  std::string clip;  // its id, where `file` is a list of several
  std::string window_start = "none";
  double clip_timeout = LoaderOptions{}.clip_timeout;

  // Registers the file, the model's flags, --out, --json, --clip, --window-start, --clip-timeout and the
  // flags of lists.
  void add(CLI::App& app, DecoderUse decoder);
  // The clip that is meant. Throws DataError naming how many there are.
  ClipSource source(Log& log) const;
  // What the network takes of what the clip has. The log hears what ClipReader's does.
  Sample read(const ClipSource& clip, const Pretrained& from, FrameChoice frames,
              std::shared_ptr<Log> log) const;
};

}  // namespace cavmae::apps
