// The flags of every command that reads clips: how labels are parted, and which files of a folder are clips.
#pragma once

#include "cavmae/data/read_clips.h"

#include "apps/command.h"

namespace cavmae::apps {

struct ListFlags {
  OptionFlags flags;

  // Registers --label-separator and --all-files.
  void add(CLI::App& app) { flags.add(app, ListOptions{}, "Reading lists and folders"); }
  // What was given, over `defaults`.
  ListOptions options(ListOptions defaults = {}) const {
    flags.apply(defaults);
    return defaults;
  }
};

}  // namespace cavmae::apps
