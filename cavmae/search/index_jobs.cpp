#include "cavmae/search/index_jobs.h"

#include <filesystem>
#include <map>

#include "cavmae/core/error.h"
#include "cavmae/core/paths.h"
#include "cavmae/data/shard_members.h"
#include "cavmae/search/content_hash.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

// A member of a tar is below the tar, as if that were a folder.
std::string path_of(const MediaSource& source) {
  if (!source.path().empty()) return source.path().string();
  const auto place = split_member_name(source.name());
  return place ? concat(absolute_path(place->tar).string(), "/", place->member) : source.name();
}

int64_t size_of(const MediaSource& source) {
  std::error_code failed;
  const auto size = fs::file_size(source.path(), failed);
  return failed ? 0 : static_cast<int64_t>(size);
}

const MediaSource& main_source(const ClipSource& clip) {
  return !clip.frames.empty() ? clip.frames.front() : clip.video.empty() ? clip.audio : clip.video;
}

bool has_sound_elsewhere(const ClipSource& clip) {
  return !clip.audio.empty() && !(clip.audio == main_source(clip));
}

IndexJob job_of(ClipSource clip) {
  clip.start_seconds.reset();
  clip.end_seconds.reset();
  IndexJob job;
  const MediaSource& main = main_source(clip);
  job.path = path_of(main);
  job.stamp = stamp_of(clip);
  job.bytes = size_of(main);
  if (has_sound_elsewhere(clip)) {
    job.audio_path = path_of(clip.audio);
    job.bytes += size_of(clip.audio);
  }
  clip.id = job.path;
  job.clip = std::move(clip);
  return job;
}

}  // namespace

ListedFiles::ListedFiles(LibraryWriter& library, const ClipList& files, const World& world,
                         IndexResult& result) {
  using Key = std::pair<std::string, std::string>;
  std::map<Key, std::string> stamps;  // of what the library holds
  for (const LibraryFile& file : library.files()) stamps[{file.path, file.audio_path}] = file.stamp;
  std::map<std::string, std::string> failed;
  for (const FileFailure& failure : library.failures()) failed[failure.path] = failure.stamp;
  for (const ClipSource& clip : files) {
    IndexJob job = job_of(clip);
    const Key key{job.path, job.audio_path};
    if (!listed_.insert(key).second) continue;
    const auto position = static_cast<int64_t>(listed_.size()) - 1;
    if (position % world.size() != world.rank()) continue;
    const auto known = stamps.find(key);
    const auto bad = failed.find(job.path);
    const bool is_bad = bad != failed.end() && bad->second == job.stamp;
    job.is_known = known != stamps.end();
    if (is_bad) ++result.failed;
    if (job.is_known && known->second == job.stamp)
      ++result.unchanged;
    else if (!is_bad)
      jobs_.push_back(std::move(job));
  }
}

std::string stamp_of(const ClipSource& clip) {
  std::string stamp = main_source(clip).stamp();
  if (has_sound_elsewhere(clip)) stamp += "|" + clip.audio.stamp();
  return stamp;
}

std::string content_of(const ClipSource& clip) {
  std::string hashes;
  for (const MediaSource& frame : clip.frames) hashes += content_hash(frame) + "\n";
  if (!clip.video.empty()) hashes += content_hash(clip.video);
  if (!clip.audio.empty() && !(clip.audio == clip.video)) hashes += "|" + content_hash(clip.audio);
  return content_hash(std::string_view(hashes));
}

bool ListedFiles::has(const LibraryFile& file) const {
  if (listed_.contains({file.path, file.audio_path})) return true;
  std::error_code failed;
  return fs::exists(file.path, failed) && (file.audio_path.empty() || fs::exists(file.audio_path, failed));
}

}  // namespace cavmae
