// How this process was started among others: its rank, their number and where they meet, as torchrun, mpirun,
// Slurm or flags tell it. Free functions; they read the environment that they are given and nothing else.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace cavmae {

// The value of an environment variable, or nothing.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment process_environment();

// What the command line says; it goes before what a launcher says.
struct LaunchFlags {
  std::optional<int64_t> rank, size;
  std::string url;  // "tcp://HOST:PORT" or "file:///PATH"; empty: not given
};

// What a meeting's file is called between the run's name and the launch's.
inline constexpr const char* kMeetingFile = ".meeting-";

// Where the processes meet.
struct MeetingPlace {
  std::string host = {};            // of a TCPStore
  int64_t port = 0;                 // of a TCPStore
  std::filesystem::path file = {};  // of a FileStore; empty: a TCPStore
  std::string found_by = {};        // "MASTER_ADDR and MASTER_PORT", "--dist-url", "a file beside --out"
  bool kept_by_launcher = false;    // torchrun's agent keeps the TCPStore, else rank 0 does
  std::string launch = {};          // apart from other launches that meet at the same place

  std::string url() const;
};

struct Launch {
  int64_t rank = 0, size = 1, local_rank = 0;
  std::string launcher = {};  // "torchrun", "Open MPI", "PMI", "Slurm", "--dist-rank"; empty: started alone
  MeetingPlace place = {};    // where size > 1
};

// The process that started this one and its siblings, apart from all others of this host: MPICH's proxy where
// one is among those above this, else the parent. "PID-START", or "" where it cannot be told.
std::string launching_process();

// `out`: what --out names; a file beside it is the meeting place where nothing else tells one. `launched_by`:
// as launching_process() says it, which sets a launch on one host apart where its launcher gives it no name.
// Throws ConfigError where rank and size contradict each other, or no meeting place can be told.
Launch find_launch(const LaunchFlags& flags, const std::filesystem::path& out, const Environment& environment,
                   const std::string& launched_by = "");

// "tcp://HOST:PORT" or "file:///PATH". Throws ConfigError naming --dist-url.
MeetingPlace parse_meeting_url(const std::string& url);

}  // namespace cavmae
