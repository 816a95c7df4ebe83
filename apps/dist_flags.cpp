#include "apps/dist_flags.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include <fmt/format.h>

#include "cavmae/core/files.h"
#include "cavmae/core/parallel.h"
#include "cavmae/core/secrets.h"
#include "cavmae/core/text.h"
#include "cavmae/core/torch.h"
#include "cavmae/dist/process_group.h"

#include "apps/version.h"

namespace cavmae::apps {
namespace {

constexpr const char* kGroup = "Several processes";

// Of this very program, so that a rank with an older one is found.
std::string build_identity() {
  return fmt::format("cavmae {}, LibTorch {}, {:016x}", kVersion, TORCH_VERSION,
                     stable_hash(read_text("/proc/self/exe")));
}

// Threads of the process group may wait for ranks that are gone: the process does not wait for them.
[[noreturn]] void end_at_once(const Launch& launch, const std::string& why, int code) {
  std::fprintf(stderr, "cavmae: (rank %ld) %s\n", static_cast<long>(launch.rank),
               without_passwords(why).c_str());
  std::_Exit(code);
}

GroupOptions group_options(const DistFlags& flags, const Launch& launch, const std::shared_ptr<Log>& log) {
  GroupOptions options;
  options.launch = launch;
  options.timeout = std::chrono::milliseconds(static_cast<int64_t>(1000 * flags.timeout_seconds));
  options.build = build_identity();
  options.say = [log](const std::string& line) { log->info("{}", line); };
  options.if_unheard = [launch](const std::string& why) { end_at_once(launch, why, /*code=*/1); };
  return options;
}

// Unless the user says how many threads a rank has, ranks on the same cores share them.
void share_cores(const ProcessGroup& group, const GlobalOptions& global) {
  const char* const from_user = std::getenv("OMP_NUM_THREADS");
  if (global.threads > 0 || (from_user != nullptr && std::atol(from_user) > 0)) return;
  const int64_t share = at::get_num_threads() / group.ranks_on_same_cores();
  at::set_num_threads(static_cast<int>(std::max<int64_t>(1, share)));
}

std::string described(const ProcessGroup& group) {
  const int threads = at::get_num_threads();
  return concat(group.description(), "; rank ", group.rank(), " computes with ", threads,
                threads == 1 ? " thread" : " threads");
}

}  // namespace

void DistFlags::add(CLI::App& app) {
  app.add_option("--dist-rank", rank,
                 "this process's number among those that run together, from 0 (else as the launcher says)")
      ->type_name("N")
      ->group(kGroup);
  app.add_option("--dist-size", size, "how many run together")->type_name("N")->group(kGroup);
  app.add_option(
         "--dist-url", url,
         "where they meet: tcp://HOST:PORT with the host of rank 0, or file:///PATH in a folder that all share")
      ->type_name("URL")
      ->group(kGroup);
  app.add_option("--dist-timeout", timeout_seconds,
                 "seconds after which a rank that does not answer ends the others [300]")
      ->type_name("SECONDS")
      ->group(kGroup);
}

Launch DistFlags::launch(const std::filesystem::path& out) const {
  return find_launch({.rank = rank, .size = size, .url = url}, out, process_environment(),
                     launching_process());
}

int on_ranks(const DistFlags& flags, const Launch& launch, const GlobalOptions& global,
             const std::function<int(const RankOfLaunch&)>& run) {
  if (launch.size == 1) return run({.world = World::alone(), .description = "", .leave = [] {}});
  const auto log = make_log(global.verbosity());
  ProcessGroup group(group_options(flags, launch, log));
  group.does("reads its list of clips and its model");
  share_cores(group, global);
  try {
    return run({.world = group,
                .description = described(group),
                .leave = [&] { group.leave(); },
                .local_rank = launch.local_rank});
  } catch (const Error& e) {
    group.abandon(e.what());
    std::fflush(nullptr);
    end_at_once(launch, e.what(), dynamic_cast<const ConfigError*>(&e) != nullptr ? 2 : 1);
  } catch (const std::exception& e) {
    group.abandon(e.what());
    throw;
  }
}

Verbosity verbosity_of(const RankOfLaunch& rank, const GlobalOptions& global) {
  return rank.is_first() ? global.verbosity() : Verbosity::quiet;
}

void choose_device(std::string& device, int64_t local_rank) {
  if (device == "cuda" && local_rank > 0) device = concat("cuda:", local_rank);
}

}  // namespace cavmae::apps
