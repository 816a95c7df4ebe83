// Threads that read files for their moments and hand over what the network is to compute. Private to this
// folder. One owner.
#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/data/clip_reader.h"
#include "cavmae/search/index_jobs.h"
#include "cavmae/search/piece_queue.h"
#include "cavmae/search/work_share.h"

namespace cavmae {

// What a library says of content that may be there already under another name. Called from several threads.
class ContentAdopter {
 public:
  virtual ~ContentAdopter() = default;
  // Whether the file need not be read: its place is noted.
  virtual bool adopt(const IndexJob& job, const std::string& content) = 0;
};

class FileReaders {
 public:
  // Reads ahead until there are `capacity` pieces. All but the jobs outlive this.
  FileReaders(std::vector<IndexJob> jobs, WorkShare& share, const InputSpec& spec, double hop_seconds,
              const IndexOptions& options, ContentAdopter& adopter, const std::shared_ptr<Log>& log);
  ~FileReaders();  // stops and joins

  PieceQueue& queue() { return queue_; }

 private:
  void work();
  bool wanted() const;
  bool read(const IndexJob& job, bool by_another);
  void read_moments(const IndexJob& job, const std::string& content, const std::shared_ptr<FileInWork>& file);

  std::vector<IndexJob> jobs_;
  WorkShare& share_;
  double hop_seconds_;
  IndexOptions options_;
  ContentAdopter& adopter_;
  std::shared_ptr<const ClipReader> reader_;
  std::atomic<bool> stopped_ = false;
  PieceQueue queue_;
  std::vector<std::thread> threads_;
};

}  // namespace cavmae
