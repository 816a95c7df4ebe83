#include "cavmae/search/indexer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/core/progress.h"
#include "cavmae/core/stop_signal.h"
#include "cavmae/data/read_clips.h"
#include "cavmae/eval/embed.h"
#include "cavmae/eval/failed_clips.h"
#include "cavmae/search/file_readers.h"
#include "cavmae/search/segment.h"

namespace cavmae {
namespace {

constexpr double kBytesPerMegabyte = 1e6;

// The library, which the threads that read files ask too.
class SharedLibrary : public ContentAdopter {
 public:
  SharedLibrary(LibraryWriter& library, const ListedFiles& listed, IndexResult& result)
      : library_(library), listed_(listed), result_(result) {}

  bool adopt(const IndexJob& job, const std::string& content) override {
    const std::lock_guard lock(mutex_);
    if (const auto same = library_.file_at(job.path, job.audio_path); same && same->content == content) {
      library_.set_place(*same, job.path, job.audio_path, job.stamp);
      ++result_.unchanged;
      return true;
    }
    if (job.is_known) return false;
    for (const LibraryFile& file : library_.files_of_content(content)) {
      if (listed_.has(file) || !library_.set_place(file, job.path, job.audio_path, job.stamp)) continue;
      ++result_.moved;
      return true;
    }
    return false;
  }

  // A file that is whole. What of it failed is told.
  void commit(FileInWork& file, const std::shared_ptr<Log>& log) {
    const std::vector<NewMoment> moments = file.vectors->finish(scalar_type(library_.settings().vectors));
    if (file.not_finite) file.failures.push_back(*file.not_finite);
    if (file.was_changed) {
      file.vectors->forget_content();
      for (FileFailure& failure : file.failures) failure.stamp.clear();
      log->warn("{}: was changed while it was read, and is read again the next time",
                file.vectors->file().path);
    }
    for (const FileFailure& failure : file.failures)
      log->warn("{}", to_line({.id = failure.path, .reason = failure.reason, .side = failure.side}));
    const std::lock_guard lock(mutex_);
    if (!file.failures.empty()) ++result_.failed;
    if (moments.empty()) {
      if (const auto former = library_.file_at(file.vectors->file().path, file.vectors->file().audio_path))
        library_.remove_file(former->id);
      library_.set_failures(file.vectors->file().path, file.failures);
      return;
    }
    if (!library_.add_file(file.vectors->file(), moments, file.failures)) {
      ++result_.by_others;
      return;
    }
    ++(file.is_known ? result_.changed : result_.added);
    result_.moments += static_cast<int64_t>(moments.size());
  }

 private:
  LibraryWriter& library_;
  const ListedFiles& listed_;
  IndexResult& result_;
  std::mutex mutex_;
};

bool is_same_picture(const torch::Tensor& a, const torch::Tensor& b) {
  return a.defined() && b.defined() && a.equal(b);
}

// Collects pieces into batches, computes them, and commits the files that are whole.
class MomentEmbedder {
 public:
  using WhenDone = std::function<void(FileInWork&)>;

  MomentEmbedder(CavMae network, int64_t batch_size, WhenDone when_done)
      : network_(std::move(network)),
        batch_size_(static_cast<size_t>(batch_size)),
        when_done_(std::move(when_done)) {}

  void take(QueuedPiece queued) {
    FileInWork& file = *queued.file;
    if (!queued.piece) {
      file.has_ended = true;
      ended_.push_back(std::move(queued.file));
      // Files that are small would wait for one another without end.
      if (ended_.size() >= batch_size_) compute_all();
      finish_whole_files();
      return;
    }
    ++file.pieces_out;
    std::vector<QueuedPiece>& waiting = queued.piece->side == ClipSide::audio ? sounds_ : pictures_;
    waiting.push_back(std::move(queued));
    if (waiting.size() >= batch_size_) compute(waiting);
    finish_whole_files();
  }

  void compute_all() {
    compute(sounds_);
    compute(pictures_);
    finish_whole_files();
  }

 private:
  // A picture that is shown for long is looked at once: each that equals the one before it in its file has
  // the vector of that one.
  void compute(std::vector<QueuedPiece>& waiting) {
    if (waiting.empty()) return;
    const bool is_audio = waiting.front().piece->side == ClipSide::audio;
    std::vector<torch::Tensor> inputs;
    std::vector<int64_t> input_of;  // -1: the file's last vector
    std::map<const FileInWork*, std::pair<torch::Tensor, int64_t>> last;
    for (const QueuedPiece& at : waiting) {
      const auto [known, is_first] = last.try_emplace(at.file.get(), at.file->last_picture, -1);
      auto& [picture, input] = known->second;
      if (is_audio || !is_same_picture(picture, at.piece->input)) {
        inputs.push_back(at.piece->input);
        picture = at.piece->input;
        input = static_cast<int64_t>(inputs.size()) - 1;
      }
      input_of.push_back(input);
    }
    torch::Tensor vectors;
    if (!inputs.empty()) {
      const torch::Tensor batch = torch::stack(inputs);
      const Embeddings out = embed_batch(
          network_, is_audio ? Inputs{.audio = batch, .video = {}} : Inputs{.audio = {}, .video = batch});
      vectors = is_audio ? out.audio : out.video;
    }
    for (size_t i = 0; i < waiting.size(); ++i) {
      FileInWork& file = *waiting[i].file;
      const torch::Tensor vector = input_of[i] < 0 ? file.last_vector : vectors[input_of[i]];
      if (!is_audio) {
        file.last_picture = waiting[i].piece->input;
        file.last_vector = vector;
      }
      --file.pieces_out;
      add(file, *waiting[i].piece, vector);
    }
    waiting.clear();
  }

  static void add(FileInWork& file, const FileMoments::Piece& piece, const torch::Tensor& vector) {
    if (vector.isfinite().all().item<bool>()) return file.vectors->add(piece, vector.clone());
    const LibraryFile& record = file.vectors->file();
    file.not_finite = {.path = record.path,
                       .stamp = record.stamp,
                       .side = piece.side,
                       .reason =
                           "the network gives values for it that are not finite (NaN or infinity); check "
                           "the checkpoint"};
  }

  void finish_whole_files() {
    std::erase_if(ended_, [&](const std::shared_ptr<FileInWork>& file) {
      if (file->pieces_out > 0) return false;
      when_done_(*file);
      return true;
    });
  }

  CavMae network_;
  size_t batch_size_;
  WhenDone when_done_;
  std::vector<QueuedPiece> sounds_, pictures_;
  std::vector<std::shared_ptr<FileInWork>> ended_;
};

// What all ranks did. One that was interrupted leaves the whole so.
void sum_over_ranks(World& world, IndexResult& result) {
  if (world.size() == 1) return;
  std::vector<int64_t*> counts = {&result.unchanged, &result.added,  &result.changed,   &result.moved,
                                  &result.pruned,    &result.failed, &result.by_others, &result.moments};
  std::vector<int64_t> values = {result.end == IndexEnd::interrupted ? 1 : 0};
  for (const int64_t* count : counts) values.push_back(*count);
  const torch::Tensor all = torch::tensor(values, torch::kInt64);
  world.wait_for_all();
  world.all_reduce(all);
  const auto* sums = all.data_ptr<int64_t>();
  if (sums[0] > 0) result.end = IndexEnd::interrupted;
  for (size_t i = 0; i < counts.size(); ++i) *counts[i] = sums[i + 1];
}

bool lies_below(const std::string& path, const std::string& place) {
  return path == place || path.starts_with(place.ends_with('/') ? place : place + '/');
}

bool lies_below_any(const std::string& path, const std::vector<std::string>& places) {
  return std::ranges::any_of(places, [&](const std::string& place) { return lies_below(path, place); });
}

// Files that are in the library and nowhere else.
void count_gone(LibraryWriter& library, const ListedFiles& listed, bool prune, IndexResult& result,
                Log& log) {
  std::vector<std::string> there, away;
  for (const std::string& data : library.settings().data) (is_there(data) ? there : away).push_back(data);
  int64_t kept = 0;
  for (const LibraryFile& file : library.files()) {
    if (listed.has(file)) continue;
    const bool may_come_back = !away.empty() && !lies_below_any(file.path, there);
    if (prune && !may_come_back) {
      library.remove_file(file.id);
      ++result.pruned;
    } else {
      ++result.gone;
      kept += prune ? 1 : 0;
    }
  }
  if (kept > 0)
    log.warn("{} files are not removed, since {} is not there; if it is not to come back: --forget {}", kept,
             away.front(), away.front());
}

}  // namespace

void IndexOptions::validate() const {
  Problems problems;
  problems.require(num_workers >= 1, "num_workers is ", num_workers, "; it must be at least 1");
  problems.require(batch_size >= 1, "batch_size is ", batch_size, "; it must be at least 1");
  problems.require(clip_timeout >= 0, "clip_timeout is ", clip_timeout, "; it must not be negative");
  problems.throw_if_any("the library cannot be filled");
}

int64_t forget_files(LibraryWriter& library, const std::vector<std::string>& places) {
  int64_t removed = 0;
  for (const LibraryFile& file : library.files()) {
    if (!lies_below_any(file.path, places) || lies_below_any(file.path, library.settings().data)) continue;
    library.remove_file(file.id);
    ++removed;
  }
  return removed;
}

IndexResult index_files(LibraryWriter& library, const Pretrained& model, const ClipList& files,
                        const IndexOptions& options, bool show_progress, const std::shared_ptr<Log>& log) {
  options.validate();
  const StopSignal stop;
  const torch::NoGradGuard no_grad;
  const auto begin = std::chrono::steady_clock::now();
  IndexResult result;
  ListedFiles listed(library, files, options.world, result);
  std::vector<IndexJob> jobs = listed.take_jobs();
  double total = 0;
  for (const IndexJob& job : jobs) total += static_cast<double>(job.bytes) / kBytesPerMegabyte;
  const auto num_jobs = static_cast<int64_t>(jobs.size());
  Progress progress({.title = "indexing",
                     .unit = "MB",
                     .total = std::max<int64_t>(1, std::llround(total)),
                     .quiet = !show_progress || jobs.empty()});
  SharedLibrary shared(library, listed, result);
  double bytes_done = 0;
  int64_t files_done = 0;
  const auto show = [&] {
    progress.update(std::llround(bytes_done / kBytesPerMegabyte),
                    fmt::format("{} of {} files, {} moments", files_done, num_jobs, result.moments));
    options.world.does(fmt::format("is indexing, at file {} of its {}", files_done, num_jobs));
  };
  MomentEmbedder embedder(model.network(), options.batch_size, [&](FileInWork& file) {
    if (file.vectors) shared.commit(file, log);
    if (file.by_another) ++result.by_others;
    ++files_done;
    show();
  });
  options.world.does("is indexing");
  if (!jobs.empty()) {
    const auto share = library.share(jobs);
    FileReaders readers(std::move(jobs), *share, library.settings().model.spec,
                        library.settings().hop_seconds, options, shared, log);
    while (!StopSignal::requested()) {
      auto piece = readers.queue().pop();
      if (!piece) break;
      options.world.check_all_live();
      if (piece->file == nullptr) {
        embedder.compute_all();
        continue;
      }
      FileInWork& file = *piece->file;
      const double bytes = piece->share_done * static_cast<double>(file.bytes);
      bytes_done += bytes - std::exchange(file.bytes_counted, bytes);
      show();
      embedder.take(std::move(*piece));
    }
    if (!StopSignal::requested()) embedder.compute_all();
  }
  progress.finish();
  if (StopSignal::requested()) result.end = IndexEnd::interrupted;
  options.world.does("has done its share of indexing");
  sum_over_ranks(options.world, result);
  if (options.world.rank() == 0) {
    options.world.does("seals what was indexed");
    if (result.end == IndexEnd::done) count_gone(library, listed, options.prune, result, *log);
    library.seal();
  }
  options.world.wait_for_all();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

}  // namespace cavmae
