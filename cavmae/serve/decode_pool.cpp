#include "cavmae/serve/decode_pool.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cavmae/core/error.h"
#include "cavmae/serve/http.h"

namespace cavmae {
namespace {

constexpr int kDecoderSocket = 3;

// What a decoder finds of this process's environment: where libraries lie, which instruction set to take,
// what sanitizers are to do, and nothing else.
std::vector<std::string> decoder_environment() {
  std::vector<std::string> out = {"OMP_NUM_THREADS=1", "PATH=/usr/bin:/bin"};
  for (const char* name : {"LD_LIBRARY_PATH", "CAVMAE_ISA", "OPENBLAS_CORETYPE", "ASAN_OPTIONS",
                           "UBSAN_OPTIONS", "TSAN_OPTIONS"})
    if (const char* value = std::getenv(name)) out.push_back(concat(name, "=", value));
  return out;
}

// Nothing comes from a decoder that has no job but the end of its socket.
bool has_ended(int socket) {
  pollfd state{.fd = socket, .events = POLLIN, .revents = 0};
  return ::poll(&state, 1, /*timeout=*/0) > 0;
}

class SpawnActions {
 public:
  SpawnActions() { ::posix_spawn_file_actions_init(&actions_); }
  ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions_); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  posix_spawn_file_actions_t* get() { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

}  // namespace

std::filesystem::path decoder_beside_this_program() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "cavmae-decode";
}

DecodePool::DecodePool(const DecodePoolOptions& options, std::shared_ptr<Log> log)
    : options_(options), log_(std::move(log)), decoders_(static_cast<size_t>(options.decoders)) {
  CAVMAE_CHECK_AS(ConfigError, ::access(options.program.c_str(), X_OK) == 0, options.program.string(),
                  ": the decoder is not there; install cavmae as a whole (cmake --install)");
  try {
    for (Decoder& decoder : decoders_) start(decoder);
    for (Decoder& decoder : decoders_) {
      send_job(decoder.socket, {.kind = DecodeKind::confinement, .name = {}}, {});
      const DecodeAnswer answer = receive_answer(decoder.socket, /*deadline_seconds=*/60);
      CAVMAE_CHECK(answer.freedoms.empty() && answer.error.empty(), options.program.string(),
                   ": is not confined: ", answer.freedoms, answer.error,
                   "; this system lacks seccomp, without which files of strangers are not decoded");
      decoder.is_warm = true;
    }
  } catch (...) {
    for (Decoder& decoder : decoders_) end(decoder);
    throw;
  }
}

DecodePool::~DecodePool() {
  for (Decoder& decoder : decoders_) end(decoder);
}

std::vector<int> DecodePool::processes() const {
  const std::lock_guard lock(mutex_);
  std::vector<int> out;
  for (const Decoder& decoder : decoders_) out.push_back(decoder.process);
  return out;
}

void DecodePool::start(Decoder& decoder) {
  std::array<int, 2> pair{};
  CAVMAE_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0,
               "no socket for a decoder: ", std::strerror(errno));
  // dup2() onto itself would leave the descriptor to be closed.
  int theirs = pair[1];
  if (theirs == kDecoderSocket) {
    theirs = ::fcntl(pair[1], F_DUPFD_CLOEXEC, kDecoderSocket + 1);
    ::close(pair[1]);
  }
  SpawnActions actions;
  ::posix_spawn_file_actions_adddup2(actions.get(), theirs, kDecoderSocket);
  ::posix_spawn_file_actions_addopen(actions.get(), STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  std::vector<std::string> environment = decoder_environment();
  std::vector<char*> variables;
  for (std::string& one : environment) variables.push_back(one.data());
  variables.push_back(nullptr);
  std::string name = options_.program.string();
  std::array<char*, 2> arguments = {name.data(), nullptr};
  pid_t process = -1;
  const int failed =
      ::posix_spawn(&process, name.c_str(), actions.get(), nullptr, arguments.data(), variables.data());
  ::close(theirs);
  if (failed != 0) {
    ::close(pair[0]);
    throw Error(concat(name, ": cannot be started: ", std::strerror(failed)));
  }
  const std::lock_guard lock(mutex_);
  decoder.socket = pair[0];
  decoder.process = process;
  decoder.jobs = 0;
  decoder.is_warm = false;
}

void DecodePool::end(Decoder& decoder) {
  if (decoder.socket >= 0) ::close(decoder.socket);
  if (decoder.process > 0) {
    ::kill(decoder.process, SIGKILL);
    ::waitpid(decoder.process, nullptr, 0);
  }
  const std::lock_guard lock(mutex_);
  decoder.socket = decoder.process = -1;
}

DecodePool::Decoder& DecodePool::take(Urgency urgency) {
  std::unique_lock lock(mutex_);
  if (waiting_[0] + waiting_[1] >= options_.max_waiting) throw too_busy("too many files wait to be decoded");
  constexpr int64_t kQueriesInARow = 4;  // while a picture waits
  const bool is_query = urgency == Urgency::query;
  int64_t& here = waiting_[is_query ? 0 : 1];
  const int64_t& others = waiting_[is_query ? 1 : 0];
  const auto free = [&] { return std::ranges::find_if(decoders_, &Decoder::is_free); };
  ++here;
  changed_.wait(lock, [&] {
    const bool is_turn = is_query == (queries_in_a_row_ < kQueriesInARow);
    return free() != decoders_.end() && (is_turn || others == 0);
  });
  --here;
  queries_in_a_row_ = is_query ? queries_in_a_row_ + 1 : 0;
  Decoder& decoder = *free();
  decoder.is_free = false;
  lock.unlock();
  changed_.notify_all();  // it may be another's turn now
  return decoder;
}

void DecodePool::give_back(Decoder& decoder) {
  {
    const std::lock_guard lock(mutex_);
    decoder.is_free = true;
  }
  changed_.notify_all();
}

DecodeAnswer DecodePool::decode(const DecodeJob& job, const std::vector<int>& descriptors, Urgency urgency) {
  Decoder& decoder = take(urgency);
  const std::unique_ptr<Decoder, std::function<void(Decoder*)>> held(
      &decoder, [this](Decoder* one) { give_back(*one); });
  ++jobs_;
  if (decoder.process >= 0 && has_ended(decoder.socket)) {
    ++replaced_;
    log_->warn("a decoder ended while it had nothing to do; a new one is started");
    end(decoder);
  }
  if (decoder.process < 0 || decoder.jobs >= options_.jobs_a_process) {
    end(decoder);
    start(decoder);
  }
  ++decoder.jobs;
  // A new process loads its libraries first.
  const double start_seconds = decoder.is_warm ? 0.0 : 30.0;
  DecodeAnswer answer;
  try {
    send_job(decoder.socket, job, descriptors);
    answer = receive_answer(decoder.socket, job.time_limit_seconds + options_.grace_seconds + start_seconds);
    decoder.is_warm = true;
  } catch (const Error& e) {
    ++replaced_;
    log_->warn("{}: its decoder is replaced: {}", job.name, e.what());
    end(decoder);
    start(decoder);
    throw MediaError(concat(job.name, ": cannot be decoded: it made the decoder crash or take too long"));
  }
  CAVMAE_CHECK_AS(MediaError, answer.error.empty(), answer.error);
  return answer;
}

}  // namespace cavmae
