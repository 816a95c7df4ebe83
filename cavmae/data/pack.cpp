#include "cavmae/data/pack.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>

#include <fmt/format.h>

#include "cavmae/core/error.h"
#include "cavmae/core/file_lock.h"
#include "cavmae/core/files.h"
#include "cavmae/core/json_text.h"
#include "cavmae/core/progress.h"
#include "cavmae/core/stop_signal.h"
#include "cavmae/core/text.h"
#include "cavmae/core/time_limit.h"
#include "cavmae/data/ids_hash.h"
#include "cavmae/data/shard_index.h"
#include "cavmae/data/shard_names.h"
#include "cavmae/data/shard_sample.h"
#include "cavmae/data/tar_file.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

constexpr const char* kFormat = "cavmae shards";
constexpr size_t kKeyDigits = 9;

std::string key_of(int64_t position) {
  return fmt::format("{:0{}}", position, kKeyDigits);
}

fs::path shard_path(const fs::path& out, int64_t number) {
  return out / fmt::format("shard-{:06}.tar", number);
}

std::string identity_of(const MediaSource& source) {
  return source.empty() ? "" : source.identity();
}

Json made_of(const ClipList& clips, const PackOptions& options) {
  uint64_t labels = stable_hash(""), files = labels, windows = labels;
  for (size_t i = 0; i < clips.size(); ++i) {
    labels = stable_hash(to_text(Json(clips.labels(i))), labels);
    const ClipSource clip = clips[i];
    files = stable_hash(
        fmt::format("{}\n{}\n{}\n", identity_of(clip.audio), identity_of(clip.video), clip.frames.size()),
        files);
    for (const MediaSource& frame : clip.frames) files = stable_hash(identity_of(frame) + "\n", files);
    const auto seconds = [](const std::optional<double>& at) { return at ? fmt::format("{}", *at) : "-"; };
    windows = stable_hash(concat(seconds(clip.start_seconds), " ", seconds(clip.end_seconds), "\n"), windows);
  }
  const auto shown = [](uint64_t hash) { return fmt::format("{:016x}", hash); };
  Json out = {{"clips", clips.size()},
              {"ids", hash_of_ids(clips)},
              {"labels", shown(labels)},
              {"files", shown(files)},
              {"start_and_end_seconds", shown(windows)},
              {"shard_bytes", options.shard_bytes}};
  if (const auto& how = options.prepare)
    out["prepared"] = {{"num_frames", how->num_frames},
                       {"shorter_side_px", how->shorter_side_px},
                       {"sample_rate_hz", how->sample_rate_hz},
                       {"window_seconds", how->window_seconds},
                       {"jpeg_quality", how->jpeg_quality}};
  return out;
}

// "labels, files".
std::string differing_keys(const Json& a, const Json& b) {
  std::string out;
  const auto add = [&](const std::string& key) { out += (out.empty() ? "" : ", ") + key; };
  for (const auto& [key, value] : b.items())
    if (!a.contains(key) || a[key] != value) add(key);
  for (const auto& [key, value] : a.items())
    if (!b.contains(key)) add(key);
  return out;
}

// A sample, or why there is none.
struct Outcome {
  SampleToWrite sample;
  std::optional<BadClip> failure;
};

// Makes the samples of a stretch of the list, on several threads where they take work.
class SampleMaker {
 public:
  SampleMaker(const ClipList& clips, const PackOptions& options) : clips_(clips), options_(options) {
    if (!options.prepare) return;
    InputSpec spec;
    spec.window_seconds = options.prepare->window_seconds;
    reader_ = std::make_unique<const ClipReader>(spec);
  }

  std::vector<Outcome> make(int64_t first, int64_t count) const {
    std::vector<Outcome> outcomes(count);
    if (!options_.prepare) {
      for (int64_t i = 0; i < count; ++i) outcomes[i] = make_one(first + i);
      return outcomes;
    }
    std::atomic<int64_t> next{0};
    std::vector<std::exception_ptr> errors(std::max<int64_t>(1, options_.num_workers));
    std::vector<std::thread> threads;
    for (std::exception_ptr& error : errors)
      threads.emplace_back([&] {
        try {
          for (int64_t i = next++; i < count; i = next++) outcomes[i] = make_one(first + i);
        } catch (...) {
          error = std::current_exception();
        }
      });
    for (std::thread& thread : threads) thread.join();
    for (const std::exception_ptr& error : errors)
      if (error) std::rethrow_exception(error);
    return outcomes;
  }

 private:
  Outcome make_one(int64_t position) const {
    const ClipSource clip = clips_[position];
    const TimeLimit limit(options_.clip_timeout);
    try {
      Outcome outcome{.sample = options_.prepare ? prepared_sample(clip, *reader_, *options_.prepare)
                                                 : sample_of_files(clip),
                      .failure = std::nullopt};
      limit.check_kept();
      return outcome;
    } catch (const MediaError& error) {
      return {.sample = {}, .failure = BadClip{.id = clip.id, .reason = error.what()}};
    }
  }

  const ClipList& clips_;
  const PackOptions& options_;
  std::unique_ptr<const ClipReader> reader_;
};

// A shard that is being written, beside its name.
class OpenShard {
 public:
  explicit OpenShard(fs::path path)
      : path_(std::move(path)),
        part_(path_.string() + ".part"),
        writer_(std::make_unique<TarWriter>(part_)) {}

  void add(const std::string& key, const SampleToWrite& sample) {
    writer_->add(key + ".json", to_text(sample.facts));
    for (const MemberToWrite& member : sample.members)
      if (const auto* source = std::get_if<MediaSource>(&member.bytes))
        writer_->add(key + member.extension, *source->open());
      else
        writer_->add(key + member.extension, std::get<std::string>(member.bytes));
    ++samples_;
  }
  int64_t bytes() const { return writer_->size(); }
  int64_t samples() const { return samples_; }
  const fs::path& path() const { return path_; }

  // Gives it its name and its index, once what it holds was found in it.
  void close() {
    writer_->finish();
    sync_to_disk(part_);
    writer_.reset();
    const auto written = MediaSource(part_).open();
    const std::vector<ShardSample> found = samples_of(*written, scan_tar(*written, part_.string()));
    CAVMAE_CHECK_AS(DataError, static_cast<int64_t>(found.size()) == samples_, part_.string(), ": holds ",
                    found.size(), " samples of the ", samples_,
                    " that were written; the disk may be failing");
    fs::rename(part_, path_);
    sync_to_disk(path_.parent_path());
    write_shard_index(path_, found);
  }

 private:
  fs::path path_, part_;
  std::unique_ptr<TarWriter> writer_;
  int64_t samples_ = 0;
};

class Packing {
 public:
  Packing(const ClipList& clips, const fs::path& out, const PackOptions& options, std::shared_ptr<Log> log)
      : clips_(clips),
        out_(out),
        options_(options),
        log_(std::move(log)),
        made_of_(made_of(clips, options)) {}

  PackResult run();

 private:
  int64_t find_done();
  void close(std::optional<OpenShard>& shard, int64_t next_clip);
  void add_failure(int64_t position, BadClip failure);
  void write_counts() const;

  const ClipList& clips_;
  fs::path out_;
  const PackOptions& options_;
  std::shared_ptr<Log> log_;
  Json made_of_;
  Json shards_ = Json::array();  // file, samples, bytes, and where in the list the next one begins
  std::vector<std::pair<int64_t, BadClip>> failed_;  // by position in the list
  PackResult result_;
};

// Where in the list to go on.
int64_t Packing::find_done() {
  if (!fs::is_regular_file(out_ / kShardCountsFile)) return 0;
  const Json counts = read_json(out_ / kShardCountsFile);
  CAVMAE_CHECK_AS(ConfigError, counts.is_object() && counts.value("format", Json()) == kFormat, out_.string(),
                  ": holds a ", kShardCountsFile, " of something else; give another --out");
  const Json before = counts.value("made_of", Json::object());
  CAVMAE_CHECK_AS(ConfigError, before == made_of_, out_.string(),
                  ": holds shards of other clips or other options (", differing_keys(before, made_of_),
                  "); give another --out, or remove it");
  int64_t next = 0;
  for (const Json& shard : counts.at("shards")) {
    const fs::path tar = out_ / shard.at("file").get<std::string>();
    if (!read_shard_index(tar)) break;  // gone, or changed since: made again from there
    shards_.push_back(shard);
    next = shard.at("next_clip").get<int64_t>();
    result_.clips += shard.at("samples").get<int64_t>();
    result_.bytes += shard.at("bytes").get<int64_t>();
  }
  for (const Json& failure : counts.at("failed"))
    if (failure.at("position").get<int64_t>() < next)
      failed_.push_back(
          {failure.at("position").get<int64_t>(),
           {.id = failure.at("id").get<std::string>(), .reason = failure.at("reason").get<std::string>()}});
  return next;
}

void Packing::write_counts() const {
  Json failed = Json::array();
  for (const auto& [position, clip] : failed_)
    failed.push_back({{"position", position}, {"id", clip.id}, {"reason", clip.reason}});
  write_json(out_ / kShardCountsFile, {{"format", kFormat},
                                       {"made_of", made_of_},
                                       {"samples", result_.clips},
                                       {"bytes", result_.bytes},
                                       {"shards", shards_},
                                       {"failed", std::move(failed)}});
}

void Packing::close(std::optional<OpenShard>& shard, int64_t next_clip) {
  if (!shard) return;
  shard->close();
  const auto bytes = static_cast<int64_t>(fs::file_size(shard->path()));
  shards_.push_back({{"file", shard->path().filename().string()},
                     {"samples", shard->samples()},
                     {"bytes", bytes},
                     {"next_clip", next_clip}});
  result_.clips += shard->samples();
  result_.bytes += bytes;
  shard.reset();
  write_counts();
}

void Packing::add_failure(int64_t position, BadClip failure) {
  log_->warn("{}: {}", failure.id, failure.reason);
  failed_.emplace_back(position, std::move(failure));
  const auto allowed = static_cast<int64_t>(options_.max_bad_ratio * static_cast<double>(clips_.size()));
  CAVMAE_CHECK_AS(DataError, static_cast<int64_t>(failed_.size()) <= allowed, failed_.size(), " of ",
                  position + 1, " clips could not be read, more than max_bad_ratio (", options_.max_bad_ratio,
                  ") allows of all ", clips_.size());
}

PackResult Packing::run() {
  const auto total = static_cast<int64_t>(clips_.size());
  const int64_t done = find_done();
  if (done > 0) log_->info("{} holds {} of {} clips already", out_.string(), done, total);
  const SampleMaker maker(clips_, options_);
  const StopSignal stop_signal;
  Progress progress(
      {.title = "packing", .total = total, .already_done = done, .quiet = !options_.show_progress});
  std::optional<OpenShard> shard;
  const int64_t at_once = options_.prepare ? 4 * std::max<int64_t>(1, options_.num_workers) : 1;
  for (int64_t first = done; first < total; first += at_once) {
    CAVMAE_CHECK(!StopSignal::requested(),
                 "stopped by a signal; the same command goes on behind the last whole shard");
    std::vector<Outcome> outcomes = maker.make(first, std::min(at_once, total - first));
    for (size_t i = 0; i < outcomes.size(); ++i) {
      const int64_t position = first + static_cast<int64_t>(i);
      if (outcomes[i].failure) {
        add_failure(position, std::move(*outcomes[i].failure));
        continue;
      }
      if (!shard) shard.emplace(shard_path(out_, static_cast<int64_t>(shards_.size())));
      shard->add(key_of(position), outcomes[i].sample);
      if (shard->bytes() >= options_.shard_bytes) close(shard, position + 1);
      progress.update(position + 1);
    }
  }
  close(shard, total);
  write_counts();
  progress.finish();
  result_.shards = static_cast<int64_t>(shards_.size());
  for (auto& [position, clip] : failed_) result_.failed.push_back(std::move(clip));
  return result_;
}

}  // namespace

PackResult pack_clips(const ClipList& clips, const fs::path& out, const PackOptions& options,
                      std::shared_ptr<Log> log) {
  CAVMAE_CHECK_AS(ConfigError, options.shard_bytes > 0, "shard_bytes is ", options.shard_bytes,
                  ", it must be at least 1");
  make_directories(out);
  const FileLock lock(out);  // a second job waits, and finds all done
  return Packing(clips, out, options, std::move(log)).run();
}

}  // namespace cavmae
