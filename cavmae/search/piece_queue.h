// Between the threads that read files and the one that computes: pieces of files, those of one file in the
// order of time, and no more of them than the network is soon to take. Safe from several threads.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "cavmae/search/file_accumulator.h"

namespace cavmae {

// A file on its way into the library. The thread that reads it fills it before it hands over the file's end,
// the one that computes does the rest.
struct FileInWork {
  std::unique_ptr<FileAccumulator> vectors;  // nothing: the library has them already
  std::vector<FileFailure> failures;
  bool is_known = false;
  bool by_another = false;   // another process has done it
  bool was_changed = false;  // since its content was looked at; what was read may be of either
  int64_t bytes = 0;
  // Of the thread that computes:
  double bytes_counted = 0;  // by the progress line
  int64_t pieces_out = 0;    // that wait for their vectors
  bool has_ended = false;    // all pieces have come
  torch::Tensor last_picture, last_vector;
  std::optional<FileFailure> not_finite;
};

struct QueuedPiece {
  std::shared_ptr<FileInWork> file;         // nothing: others wait for what is waiting here to be computed
  std::optional<FileMoments::Piece> piece;  // nothing: the file's end
  double share_done = 1.0;                  // of the file, once this was read
};

class PieceQueue {
 public:
  PieceQueue(size_t capacity, int64_t num_producers) : capacity_(capacity), producers_(num_producers) {}

  // Waits for room. False when nobody takes any more.
  bool push(QueuedPiece piece) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return pieces_.size() < capacity_ || closed_; });
    if (closed_) return false;
    pieces_.push_back(std::move(piece));
    changed_.notify_all();
    return true;
  }

  // Waits for one; nothing when all producers have left. Throws what one of them has failed by.
  std::optional<QueuedPiece> pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !pieces_.empty() || producers_ == 0 || failure_; });
    if (failure_) std::rethrow_exception(failure_);
    if (pieces_.empty()) return std::nullopt;
    QueuedPiece piece = std::move(pieces_.front());
    pieces_.pop_front();
    changed_.notify_all();
    return piece;
  }

  // `failure`, where not null, is what it has failed by.
  void producer_leaves(const std::exception_ptr& failure) {
    const std::lock_guard lock(mutex_);
    --producers_;
    if (failure) failure_ = failure;
    changed_.notify_all();
  }

  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<QueuedPiece> pieces_;
  size_t capacity_;
  int64_t producers_;
  bool closed_ = false;
  std::exception_ptr failure_;
};

}  // namespace cavmae
