// Decoders that are kept warm: processes of cavmae-decode, each with one file at a time, replaced when they
// crash or take too long. Safe from several threads.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/decode/decode_job.h"

namespace cavmae {

struct DecodePoolOptions {
  std::filesystem::path program;  // cavmae-decode
  int64_t decoders = 2;
  int64_t max_waiting = 64;      // jobs; one more is refused
  int64_t jobs_a_process = 500;  // after which it is replaced
  double grace_seconds = 3.0;    // beyond a job's own limit, after which its process is killed
};

// What somebody waits for with a page goes before what fills the page.
enum class Urgency { query, picture };

class DecodePool {
 public:
  // Starts the decoders and asks each what it can still do. Throws ConfigError: the program is not there;
  // Error: it is not confined.
  DecodePool(const DecodePoolOptions& options, std::shared_ptr<Log> log);
  ~DecodePool();

  // Throws MediaError for what is wrong with the file, which includes that its decoder crashed or took too
  // long; HttpError 503 when too many wait.
  DecodeAnswer decode(const DecodeJob& job, const std::vector<int>& descriptors, Urgency urgency);

  int64_t replaced() const { return replaced_; }  // after a crash or a limit
  int64_t jobs() const { return jobs_; }
  // Of the processes, now.
  std::vector<int> processes() const;

 private:
  struct Decoder {
    int socket = -1, process = -1;
    int64_t jobs = 0;
    bool is_free = true;
    bool is_warm = false;  // it has answered
  };

  void start(Decoder& decoder);
  void end(Decoder& decoder);
  Decoder& take(Urgency urgency);
  void give_back(Decoder& decoder);

  DecodePoolOptions options_;
  std::shared_ptr<Log> log_;
  std::atomic<int64_t> replaced_ = 0, jobs_ = 0;
  mutable std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::vector<Decoder> decoders_;
  int64_t waiting_[2] = {0, 0};  // queries, pictures
  int64_t queries_in_a_row_ = 0;
};

// The program beside the one that runs.
std::filesystem::path decoder_beside_this_program();

}  // namespace cavmae
