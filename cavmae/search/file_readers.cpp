#include "cavmae/search/file_readers.h"

#include "cavmae/core/error.h"
#include "cavmae/core/stop_signal.h"
#include "cavmae/core/time_limit.h"
#include "cavmae/data/worker_thread.h"

namespace cavmae {
namespace {

constexpr int64_t kBatchesAhead = 4;

LibraryFile record_of(const IndexJob& job, const std::string& content) {
  LibraryFile record;
  record.path = job.path;
  record.audio_path = job.audio_path;
  record.stamp = job.stamp;
  record.content = content;
  return record;
}

}  // namespace

FileReaders::FileReaders(std::vector<IndexJob> jobs, WorkShare& share, const InputSpec& spec,
                         double hop_seconds, const IndexOptions& options, ContentAdopter& adopter,
                         const std::shared_ptr<Log>& log)
    : jobs_(std::move(jobs)),
      share_(share),
      hop_seconds_(hop_seconds),
      options_(options),
      adopter_(adopter),
      reader_(std::make_shared<const ClipReader>(spec, std::filesystem::path(), log)),
      queue_(static_cast<size_t>(kBatchesAhead * options.batch_size), options.num_workers) {
  for (int64_t i = 0; i < options.num_workers; ++i)
    threads_.emplace_back([this] {
      keep_torch_on_this_thread();
      std::exception_ptr failure;
      try {
        work();
      } catch (...) {
        failure = std::current_exception();
      }
      queue_.producer_leaves(failure);
    });
}

FileReaders::~FileReaders() {
  stopped_ = true;
  queue_.close();
  for (std::thread& thread : threads_) thread.join();
}

void FileReaders::work() {
  while (const auto turn = share_.next([this] { return wanted(); })) {
    const bool goes_on = turn->kind == WorkShare::Kind::wait
                             ? queue_.push({.file = nullptr, .piece = std::nullopt})
                             : read(jobs_[turn->job], turn->kind == WorkShare::Kind::done);
    if (!goes_on) return;
  }
}

bool FileReaders::wanted() const {
  return !stopped_ && !StopSignal::requested();
}

// False when nothing more is wanted.
bool FileReaders::read(const IndexJob& job, bool by_another) {
  if (!wanted()) return false;
  auto file = std::make_shared<FileInWork>();
  file->bytes = job.bytes;
  file->is_known = job.is_known;
  file->by_another = by_another;
  if (by_another) return queue_.push({.file = std::move(file), .piece = std::nullopt});
  std::string content;
  try {
    const TimeLimit limit(options_.clip_timeout);
    content = content_of(job.clip);
    limit.check_kept();
    if (adopter_.adopt(job, content)) return queue_.push({.file = std::move(file), .piece = std::nullopt});
    read_moments(job, content, file);
    if (!wanted()) return false;
  } catch (const MediaError& e) {
    if (!file->vectors)
      file->vectors =
          std::make_unique<FileAccumulator>(record_of(job, content), std::vector<FileMoments::Span>());
    file->failures.push_back(
        {.path = job.path, .stamp = job.stamp, .side = ClipSide::both, .reason = e.what()});
  }
  file->was_changed = stamp_of(job.clip) != job.stamp;
  return queue_.push({.file = std::move(file), .piece = std::nullopt});
}

void FileReaders::read_moments(const IndexJob& job, const std::string& content,
                               const std::shared_ptr<FileInWork>& file) {
  FileMoments moments(job.clip, reader_, hop_seconds_, options_.clip_timeout);
  file->vectors = std::make_unique<FileAccumulator>(record_of(job, content), moments.moments());
  while (auto piece = moments.next()) {
    if (StopSignal::requested()) return;
    if (!queue_.push({.file = file, .piece = std::move(piece), .share_done = moments.share_done()})) return;
  }
  for (const BadClip& bad : moments.failures())
    file->failures.push_back({.path = job.path, .stamp = job.stamp, .side = bad.side, .reason = bad.reason});
}

}  // namespace cavmae
