#include "cavmae/dist/launch.h"

#include <charconv>
#include <cstdlib>

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

// The file lies beside the run's folder, which has to be absent or empty when a run begins.
MeetingPlace file_beside(const fs::path& out, const std::string& launch) {
  fs::path folder = fs::absolute(out).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();
  const std::string run = folder.filename().string();
  do folder = folder.parent_path();
  while (!fs::is_directory(folder) && folder.has_relative_path());
  MeetingPlace place;
  place.file = folder / ("." + run + ".meeting-" + launch);
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

Launch find_launch(const LaunchFlags& flags, const fs::path& out, const Environment& environment) {
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
  } else {
    CAVMAE_CHECK_AS(ConfigError, flags.url.empty(),
                    "--dist-url needs --dist-rank and --dist-size, or a launcher");
  }
  if (launch.size > 1) launch.place = find_place(launch, flags, name, out, environment);
  return launch;
}

int64_t local_size(const Environment& environment) {
  const LauncherVariables* launcher = find_launcher(environment);
  if (launcher == nullptr) return 1;
  // Slurm's is a list such as "2(x3),1": the first is near enough.
  const std::string text = environment(launcher->local_size).value_or("1");
  int64_t size = 1;
  std::from_chars(text.data(), text.data() + text.size(), size);
  return size < 1 ? 1 : size;
}

}  // namespace cavmae
