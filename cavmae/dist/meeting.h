// How the processes of a launch find each other: the store where they meet, who is there, and by which
// address each is reached. Private to this folder.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include <torch/csrc/distributed/c10d/Store.hpp>

#include "cavmae/dist/launch.h"

namespace cavmae {

// What a rank tells of itself.
struct RankInfo {
  std::string host, pid, build;
  std::string address;        // of its end of a connection to the meeting place
  std::string place_address;  // of the other end
  std::string cores;          // of its host, that it may run on: "0-7"
};

struct MeetingOptions {
  const Launch& launch;
  std::chrono::milliseconds timeout{};
  std::string build;
  std::function<void(const std::string& line)> say;
  std::chrono::milliseconds between_lines{10'000};  // that are said
};

struct Met {
  c10::intrusive_ptr<c10d::Store> store;  // with keys of this launch alone
  std::vector<RankInfo> ranks;
};

// Keeps the store where this is rank 0's task, waits for all ranks and says every 10 s who is missing. Rank 0
// replaces a file that was left by one that is not there any more. Throws ConfigError where a rank is there
// twice or another build is, Error where one has not come within the timeout.
Met meet(const MeetingOptions& options);

// Another connection to the store where ranks have met, for what may keep one waiting.
c10::intrusive_ptr<c10d::Store> open_store_again(const MeetingOptions& options);

// By which address the other ranks are to reach this one. A rank on the host of the meeting place may have
// reached it by its loopback; then it takes the address by which ranks of other hosts did.
std::string address_of(const std::vector<RankInfo>& ranks, int64_t rank);

// How many ranks have the host and the cores of this one, itself among them.
int64_t ranks_on_cores_of(const std::vector<RankInfo>& ranks, int64_t rank);

// "2", "2 and 5", "2, 3 and 5"
std::string list_of(const std::vector<int64_t>& numbers);

}  // namespace cavmae
