// Commands that several processes run together: their flags, and what a rank needs of the others.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "cavmae/dist/launch.h"
#include "cavmae/dist/world.h"

#include "apps/command.h"

namespace cavmae::apps {

struct DistFlags {
  std::optional<int64_t> rank, size;
  std::string url;
  double timeout_seconds = 300.0;

  void add(CLI::App& app);
  // How this process was started. `out`: see find_launch(); a command that writes no folder meets beside the
  // working directory's files.
  Launch launch(const std::filesystem::path& out = "cavmae") const;
};

// This process as one of a launch.
struct RankOfLaunch {
  World& world;
  std::string description;      // of the launch; empty: a process alone
  std::function<void()> leave;  // once all that the ranks do together is done
  int64_t local_rank = 0;       // among those of its host

  bool is_first() const { return world.rank() == 0; }
};

// Calls `run` when all ranks are there. What it throws ends the other ranks too.
int on_ranks(const DistFlags& flags, const Launch& launch, const GlobalOptions& global,
             const std::function<int(const RankOfLaunch&)>& run);

// Rank 0 tells what a run tells, the others only what they warn of.
Verbosity verbosity_of(const RankOfLaunch& rank, const GlobalOptions& global);

// "cuda" is the GPU of the rank's own number on its host.
void choose_device(std::string& device, int64_t local_rank);

}  // namespace cavmae::apps
