#include "cavmae/dist/meeting.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <thread>

#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <unistd.h>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"
#include "cavmae/dist/reach.h"

namespace cavmae {
namespace {

using Clock = std::chrono::steady_clock;
using StorePointer = c10::intrusive_ptr<c10d::Store>;

constexpr auto kPause = std::chrono::milliseconds(50);
// A process that is not there any more may have left the file; then rank 0 replaces it, for so long.
constexpr auto kPatienceWithStale = std::chrono::seconds(30);
// Ranks write into their file every two seconds.
constexpr auto kSurelyOver = std::chrono::hours(1);

std::string host_name() {
  char name[256] = "";
  ::gethostname(name, sizeof(name) - 1);
  return name;
}

std::string allowed_cores() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("Cpus_allowed_list:")) return std::string(trim(line.substr(line.find(':') + 1)));
  return "";
}

// Something that is waited for in vain so long, said every 10 s.
class Patience {
 public:
  explicit Patience(const MeetingOptions& options)
      : options_(options),
        end_(Clock::now() + options.timeout),
        next_line_(Clock::now() + options.between_lines) {}

  // A pause. `missing`: what is waited for. Throws Error at the end.
  template <class Missing>
  void wait(Missing&& missing) {
    CAVMAE_CHECK(Clock::now() < end_, missing(), " within ",
                 std::chrono::duration<double>(options_.timeout).count(),
                 " s (--dist-timeout); was it started, and does it reach ", options_.launch.place.url(), "?");
    if (Clock::now() >= next_line_) {
      next_line_ += options_.between_lines;
      if (const std::string line = missing(); !line.empty()) options_.say(line + " yet");
    }
    std::this_thread::sleep_for(kPause);
  }

 private:
  const MeetingOptions& options_;
  Clock::time_point end_, next_line_;
};

std::vector<uint8_t> bytes_of(const std::string& text) {
  return {text.begin(), text.end()};
}

std::string text_in(c10d::Store& store, const std::string& key) {
  const std::vector<uint8_t> bytes = store.get(key);
  return {bytes.begin(), bytes.end()};
}

std::string key_of(int64_t rank) {
  return concat("rank/", rank);
}

struct Reached {
  StorePointer store;
  ConnectionEnds ends;
};

bool keeps_store(const Launch& launch) {
  return launch.rank == 0 && !launch.place.kept_by_launcher;
}

c10d::TCPStoreOptions tcp_options(const MeetingOptions& options, bool keeps) {
  c10d::TCPStoreOptions tcp;
  tcp.port = static_cast<uint16_t>(options.launch.place.port);
  tcp.isServer = keeps;
  tcp.waitWorkers = false;
  tcp.timeout = options.timeout;
  return tcp;
}

StorePointer open_file_store(const MeetingOptions& options) {
  auto store = c10::make_intrusive<c10d::FileStore>(options.launch.place.file.string(),
                                                    static_cast<int>(options.launch.size));
  store->setTimeout(options.timeout);
  return store;
}

StorePointer keys_of_launch(const StorePointer& store, const Launch& launch) {
  return c10::make_intrusive<c10d::PrefixStore>("cavmae-" + launch.place.launch, store);
}

Reached reach_tcp(const MeetingOptions& options) {
  const MeetingPlace& place = options.launch.place;
  const c10d::TCPStoreOptions tcp = tcp_options(options, keeps_store(options.launch));
  Reached reached;
  if (tcp.isServer) {
    try {
      reached.store = c10::make_intrusive<c10d::TCPStore>(place.host, tcp);
    } catch (const std::exception& e) {
      const std::string what = e.what();
      throw Error(
          concat("rank 0 cannot keep the meeting place ", place.url(), ": ", what.substr(0, what.find('\n')),
                 "; is another rank 0 at work there? Choose another port, or the address of rank 0's host"));
    }
  }
  Patience patience(options);
  std::optional<ConnectionEnds> ends = try_to_reach(place.host, place.port);
  while (!ends) {
    patience.wait(
        [&] { return concat("rank ", options.launch.rank, " has not reached rank 0 at ", place.url()); });
    ends = try_to_reach(place.host, place.port);
  }
  if (!tcp.isServer) reached.store = c10::make_intrusive<c10d::TCPStore>(place.host, tcp);
  reached.ends = *ends;
  return reached;
}

Reached reach_file(const MeetingOptions& options) {
  Reached reached;
  reached.store = open_file_store(options);
  reached.ends.own = address_towards_others();
  return reached;
}

// Of a rank that is there already.
struct Holder {
  std::string pid, host;  // empty: it has not told yet

  // As far as this host can tell.
  bool is_alive() const {
    return pid.empty() || (host == host_name() && (::kill(std::atoi(pid.c_str()), 0) == 0 || errno != ESRCH));
  }
  bool has_ended() const { return !is_alive() && host == host_name(); }
};

// Takes this rank's place. Who has it already, if anyone does.
std::optional<Holder> take_place(c10d::Store& store, const MeetingOptions& options,
                                 const ConnectionEnds& ends) {
  const int64_t rank = options.launch.rank;
  if (store.add(concat("taken/", rank), 1) > 1) {
    if (!store.check({key_of(rank)})) return Holder{};
    const std::vector<std::string> other = split(text_in(store, key_of(rank)), '\n');
    return Holder{.pid = other[1], .host = other[0]};
  }
  store.set(key_of(rank), bytes_of(concat(host_name(), '\n', ::getpid(), '\n', options.build, '\n', ends.own,
                                          '\n', ends.other, '\n', allowed_cores())));
  return std::nullopt;
}

// Those beside it, of former launches of the same run that have left theirs.
void remove_former_files(const MeetingPlace& place) {
  const std::string name = place.file.filename().string();
  const std::string of_run = name.substr(0, name.size() - place.launch.size());
  if (place.launch.empty() || !of_run.ends_with(kMeetingFile)) return;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(place.file.parent_path(), failed)) {
    const std::string other = entry.path().filename().string();
    if (other == name || !other.starts_with(of_run)) continue;
    const auto written = entry.last_write_time(failed);
    if (!failed && written + kSurelyOver < std::filesystem::file_time_type::clock::now())
      std::filesystem::remove(entry.path(), failed);
  }
}

// Goes to the place until this rank has taken its own: a file may be one that an earlier start has left.
Reached take_place_at(const MeetingOptions& options) {
  const MeetingPlace& place = options.launch.place;
  const bool is_file = !place.file.empty(), is_first = options.launch.rank == 0;
  if (is_file && is_first) remove_former_files(place);
  const auto end = Clock::now() + std::min<std::chrono::milliseconds>(options.timeout, kPatienceWithStale);
  while (true) {
    Reached reached = is_file ? reach_file(options) : reach_tcp(options);
    reached.store = keys_of_launch(reached.store, options.launch);
    const std::optional<Holder> holder = take_place(*reached.store, options, reached.ends);
    if (!holder) return reached;
    // The store of a file counts how many have ended, and the last of as many as there are ranks removes it.
    if (is_file) (void)reached.store.release();
    if (is_file && is_first && holder->has_ended()) {
      options.say(concat(place.file.string(), " was left by an earlier start, and is replaced"));
      std::error_code failed;
      std::filesystem::remove(place.file, failed);
      if (!failed) continue;
    }
    CAVMAE_CHECK_AS(
        ConfigError, is_file && !is_first && !holder->is_alive() && Clock::now() < end, "rank ",
        options.launch.rank, " is there already",
        holder->pid.empty() ? "" : concat(", as process ", holder->pid, " on ", holder->host),
        "; give each process a rank of its own",
        is_file ? concat(", or remove ", place.file.string(), " where it is left of an earlier start") : "");
    std::this_thread::sleep_for(5 * kPause);
  }
}

RankInfo info_in(c10d::Store& store, int64_t rank) {
  const std::vector<std::string> fields = split(text_in(store, key_of(rank)), '\n');
  CAVMAE_CHECK(fields.size() == 6, "rank ", rank, " is there, but is another program");
  return {.host = fields[0],
          .pid = fields[1],
          .build = fields[2],
          .address = fields[3],
          .place_address = fields[4],
          .cores = fields[5]};
}

void wait_for_all(c10d::Store& store, const MeetingOptions& options) {
  std::vector<int64_t> missing;
  for (int64_t rank = 0; rank < options.launch.size; ++rank) missing.push_back(rank);
  Patience patience(options);
  while (true) {
    std::erase_if(missing, [&](int64_t rank) { return store.check({key_of(rank)}); });
    if (missing.empty()) return;
    patience.wait([&]() -> std::string {
      return concat(missing.size() == 1 ? "rank " : "ranks ", list_of(missing), " of ", options.launch.size,
                    missing.size() == 1 ? " has" : " have", " not come to ", options.launch.place.url());
    });
  }
}

void check_builds(const std::vector<RankInfo>& ranks) {
  for (size_t rank = 1; rank < ranks.size(); ++rank)
    CAVMAE_CHECK_AS(ConfigError, ranks[rank].build == ranks[0].build, "rank ", rank, " on ", ranks[rank].host,
                    " is another build (", ranks[rank].build, ") than rank 0 on ", ranks[0].host, " (",
                    ranks[0].build, "); install one program on all hosts");
}

}  // namespace

std::string list_of(const std::vector<int64_t>& numbers) {
  std::string out;
  for (size_t i = 0; i < numbers.size(); ++i)
    out += concat(i == 0 ? "" : i + 1 == numbers.size() ? " and " : ", ", numbers[i]);
  return out;
}

Met meet(const MeetingOptions& options) {
  const Launch& launch = options.launch;
  Met met;
  met.store = take_place_at(options).store;
  wait_for_all(*met.store, options);
  for (int64_t rank = 0; rank < launch.size; ++rank) met.ranks.push_back(info_in(*met.store, rank));
  check_builds(met.ranks);
  return met;
}

StorePointer open_store_again(const MeetingOptions& options) {
  const MeetingPlace& place = options.launch.place;
  if (!place.file.empty()) return keys_of_launch(open_file_store(options), options.launch);
  const auto store = c10::make_intrusive<c10d::TCPStore>(place.host, tcp_options(options, /*keeps=*/false));
  return keys_of_launch(store, options.launch);
}

int64_t ranks_on_cores_of(const std::vector<RankInfo>& ranks, int64_t rank) {
  const RankInfo& own = ranks[static_cast<size_t>(rank)];
  return std::ranges::count_if(
      ranks, [&](const RankInfo& other) { return other.host == own.host && other.cores == own.cores; });
}

std::string address_of(const std::vector<RankInfo>& ranks, int64_t rank) {
  const RankInfo& own = ranks[static_cast<size_t>(rank)];
  if (!is_loopback(own.address)) return own.address;
  for (const RankInfo& other : ranks)
    if (!is_loopback(other.address) && !other.place_address.empty() && !is_loopback(other.place_address))
      return other.place_address;
  return own.address;
}

}  // namespace cavmae
