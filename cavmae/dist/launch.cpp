#include "cavmae/dist/launch.h"

#include <charconv>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <unistd.h>

#include "cavmae/core/error.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kMostRanks = 1 << 20;

int64_t number_in(const std::string& name, const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  CAVMAE_CHECK_AS(ConfigError, error == std::errc() && end == text.data() + text.size(), name, " is '", text,
                  "', which is no number");
  return value;
}

// The variables by which a launcher tells a process what it is.
struct LauncherVariables {
  const char* name;
  const char* rank;
  const char* size;
  const char* local_rank;
  const char* local_size;
  const char* launch[2];  // together apart from other launches; null: none
};

// In this order: mpirun within a Slurm job sets both its own and Slurm's. SLURM_STEP_NUM_TASKS and not
// SLURM_NTASKS: a plain command within an allocation of several tasks is one process.
constexpr LauncherVariables kLaunchers[] = {
    {"torchrun",
     "RANK",
     "WORLD_SIZE",
     "LOCAL_RANK",
     "LOCAL_WORLD_SIZE",
     {"TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"}},
    {"Open MPI",
     "OMPI_COMM_WORLD_RANK",
     "OMPI_COMM_WORLD_SIZE",
     "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE",
     {"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"}},
    {"PMI", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS", {"PMI_JOBID", nullptr}},
    {"Slurm",
     "SLURM_PROCID",
     "SLURM_STEP_NUM_TASKS",
     "SLURM_LOCALID",
     "SLURM_STEP_TASKS_PER_NODE",
     {"SLURM_JOB_ID", "SLURM_STEP_ID"}},
};

std::string launch_name(const LauncherVariables& launcher, const Environment& environment) {
  std::string name;
  for (const char* variable : launcher.launch) {
    if (variable == nullptr) continue;
    if (const auto value = environment(variable)) name += (name.empty() ? "" : "-") + *value;
  }
  for (char& c : name)
    if (c == '/' || c == ' ') c = '_';
  return name;
}

const LauncherVariables* find_launcher(const Environment& environment) {
  for (const LauncherVariables& launcher : kLaunchers)
    if (environment(launcher.rank) && environment(launcher.size)) return &launcher;
  return nullptr;
}

Launch launch_of(const LauncherVariables& launcher, const Environment& environment) {
  Launch launch;
  launch.launcher = launcher.name;
  launch.rank = number_in(launcher.rank, environment(launcher.rank).value());
  launch.size = number_in(launcher.size, environment(launcher.size).value());
  launch.local_rank = number_in(launcher.local_rank, environment(launcher.local_rank).value_or("0"));
  CAVMAE_CHECK_AS(
      ConfigError,
      launch.size >= 1 && launch.size <= kMostRanks && launch.rank >= 0 && launch.rank < launch.size,
      launcher.rank, " is ", launch.rank, " and ", launcher.size, " is ", launch.size,
      "; a rank lies in 0 to size - 1");
  return launch;
}

struct ProcessAbove {
  int64_t pid = 0, parent = 0;
  std::string name = {}, start = {};  // when it began, in ticks since the machine did
};

ProcessAbove process_above(int64_t pid) {
  std::ifstream in(concat("/proc/", pid, "/stat"));
  std::string text;
  std::getline(in, text, '\0');
  const size_t open = text.find('('), close = text.rfind(')');  // the name may hold anything
  if (open == std::string::npos || close == std::string::npos) return {};
  ProcessAbove above{.pid = pid, .name = text.substr(open + 1, close - open - 1)};
  std::istringstream fields(text.substr(close + 1));
  std::string field;
  for (int number = 3; number <= 22 && fields >> field; ++number) {
    if (number == 4) above.parent = number_in("/proc/PID/stat", field);
    if (number == 22) above.start = field;
  }
  return above;
}

// The file lies beside the run's folder, which has to be absent or empty when a run begins.
MeetingPlace file_beside(const fs::path& out, const std::string& launch) {
  fs::path folder = fs::absolute(out).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();
  const std::string run = folder.filename().string();
  do folder = folder.parent_path();
  while (!fs::is_directory(folder) && folder.has_relative_path());
  MeetingPlace place;
  place.file = folder / ("." + run + kMeetingFile + launch);
  place.found_by = "a file beside --out";
  return place;
}

MeetingPlace find_place(const Launch& launch, const LaunchFlags& flags, const std::string& launch_name,
                        const fs::path& out, const Environment& environment) {
  MeetingPlace place;
  const auto host = environment("MASTER_ADDR"), port = environment("MASTER_PORT");
  if (!flags.url.empty()) {
    place = parse_meeting_url(flags.url);
  } else if (host && port) {
    place.host = *host;
    place.port = number_in("MASTER_PORT", *port);
    place.found_by = "MASTER_ADDR and MASTER_PORT";
    place.kept_by_launcher = environment("TORCHELASTIC_USE_AGENT_STORE").value_or("") == "True";
  } else {
    CAVMAE_CHECK_AS(
        ConfigError, !launch_name.empty() && !out.empty(), "rank ", launch.rank, " of ", launch.size,
        " is not told where the ranks meet; give --dist-url tcp://HOST:PORT, with the host of rank "
        "0, or --dist-url file:///PATH in a folder that all hosts share");
    place = file_beside(out, launch_name);
  }
  place.launch = launch_name;
  return place;
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

std::string MeetingPlace::url() const {
  return file.empty() ? concat("tcp://", host, ":", port) : "file://" + file.string();
}

MeetingPlace parse_meeting_url(const std::string& url) {
  MeetingPlace place;
  place.found_by = "--dist-url";
  if (url.starts_with("file:///")) {
    place.file = url.substr(7);
    return place;
  }
  const size_t colon = url.rfind(':');
  const bool whole = url.starts_with("tcp://") && colon != std::string::npos && colon > 6;
  CAVMAE_CHECK_AS(ConfigError, whole, "--dist-url is '", url,
                  "'; it is tcp://HOST:PORT, or file:///PATH in a folder that all hosts share");
  place.host = url.substr(6, colon - 6);
  if (place.host.starts_with("[") && place.host.ends_with("]"))  // an IPv6 address
    place.host = place.host.substr(1, place.host.size() - 2);
  place.port = number_in("the port of --dist-url", url.substr(colon + 1));
  CAVMAE_CHECK_AS(ConfigError, place.port >= 1 && place.port <= 65535, "--dist-url: the port is ", place.port,
                  ", it must lie in 1 to 65535");
  return place;
}

std::string launching_process() {
  std::string parent;
  for (ProcessAbove above = process_above(::getppid()); above.pid > 1; above = process_above(above.parent)) {
    const std::string name = concat(above.pid, "-", above.start);
    if (parent.empty()) parent = name;
    if (above.name.find("pmi_proxy") != std::string::npos) return name;
  }
  return parent;
}

Launch find_launch(const LaunchFlags& flags, const fs::path& out, const Environment& environment,
                   const std::string& launched_by) {
  Launch launch;
  std::string name;
  if (flags.rank || flags.size) {
    CAVMAE_CHECK_AS(ConfigError, flags.rank && flags.size, "--dist-rank and --dist-size are given together");
    CAVMAE_CHECK_AS(
        ConfigError,
        *flags.size >= 1 && *flags.size <= kMostRanks && *flags.rank >= 0 && *flags.rank < *flags.size,
        "--dist-rank is ", *flags.rank, " and --dist-size is ", *flags.size,
        "; a rank lies in 0 to size - 1");
    launch.rank = *flags.rank;
    launch.size = *flags.size;
    launch.launcher = "--dist-rank";
  } else if (const LauncherVariables* launcher = find_launcher(environment)) {
    launch = launch_of(*launcher, environment);
    name = launch_name(*launcher, environment);
    // Hydra (MPICH, Intel MPI) names no launch, but says whether all its processes are on this host.
    if (name.empty() && environment(launcher->local_size) == environment(launcher->size)) name = launched_by;
  } else {
    CAVMAE_CHECK_AS(ConfigError, flags.url.empty(),
                    "--dist-url needs --dist-rank and --dist-size, or a launcher");
  }
  if (launch.size > 1) launch.place = find_place(launch, flags, name, out, environment);
  return launch;
}

}  // namespace cavmae
