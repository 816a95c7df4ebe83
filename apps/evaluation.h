// What the commands share that pass over clips with a trained model: retrieve, embed, classify, evaluate.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/data/loader.h"
#include "cavmae/eval/classify.h"
#include "cavmae/eval/embed.h"

#include "apps/dist_flags.h"
#include "apps/list_flags.h"
#include "apps/model_flags.h"

namespace cavmae::apps {

struct EvaluationFlags {
  ModelFlags model;
  std::vector<std::filesystem::path> data;
  std::filesystem::path cache;
  std::string frames = "middle";
  std::string window_start = "none";
  LoaderOptions loader;
  OptionFlags loader_flags;
  ListFlags lists;
  DistFlags dist;

  // Registers the model's flags, --data, --cache, --frames, --window-start, and the flags of the loader, of
  // lists and of several processes.
  void add(CLI::App& app, HeadUse head = HeadUse::leave_out, DecoderUse decoder = DecoderUse::none);
  PassOptions pass_options(const GlobalOptions& global, const RankOfLaunch& rank) const;
};

// "3 clips could not be read, or not whole:" and the sides and reasons.
void report_failed(const std::vector<BadClip>& failed, Log& log);

}  // namespace cavmae::apps
