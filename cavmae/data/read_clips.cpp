#include "cavmae/data/read_clips.h"

#include <algorithm>

#include "cavmae/core/error.h"
#include "cavmae/core/paths.h"
#include "cavmae/core/text.h"
#include "cavmae/core/user_cache.h"
#include "cavmae/data/clip_list_builder.h"
#include "cavmae/data/manifest.h"
#include "cavmae/data/media_files.h"
#include "cavmae/data/shard_names.h"
#include "cavmae/data/shard_reader.h"
#include "cavmae/storage/remote_url.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

constexpr const char* kManifestName = "manifest.jsonl";

// Names the first folder of the path that is missing, and what it may have been meant to be.
[[noreturn]] void throw_missing(const fs::path& path) {
  fs::path missing = absolute_path(path);
  if (!missing.has_filename()) missing = missing.parent_path();
  std::error_code failed;
  while (missing.has_relative_path() && !fs::exists(missing.parent_path(), failed))
    missing = missing.parent_path();
  std::vector<std::string> siblings;
  for (fs::directory_iterator it(missing.parent_path(), failed), end; !failed && it != end;
       it.increment(failed))
    siblings.push_back(it->path().filename().string());
  const std::string meant = nearest_word(missing.filename().string(), siblings);
  throw DataError(concat("--data ", path.string(), ": does not exist: there is no '",
                         missing.filename().string(), "' in ", missing.parent_path().string(),
                         meant.empty() ? "" : concat(" (did you mean '", meant, "'?)")));
}

// Of shards on servers.
fs::path index_folder() {
  const fs::path caches = user_cache_folder();
  return caches.empty() ? caches : caches / "shards";
}

// The tars in the folder itself, sorted.
struct FolderTars {
  std::vector<std::string> shards, compressed;
};

FolderTars tars_in(const fs::path& folder) {
  FolderTars found;
  std::error_code failed;
  for (fs::directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed)) {
    const std::string& name = it->path().native();
    const bool is_compressed = !unpacking_of_name(name).empty();
    if ((is_compressed || names_shards(name)) && it->is_regular_file(failed))
      (is_compressed ? found.compressed : found.shards).push_back(name);
  }
  std::ranges::sort(found.shards);
  std::ranges::sort(found.compressed);
  return found;
}

[[noreturn]] void throw_compressed(const std::string& tar) {
  throw DataError(concat("--data ", tar, ": ", why_no_compressed_shard(unpacking_of_name(tar))));
}

class DataReader {
 public:
  DataReader(ClipListBuilder& clips, const ListOptions& options, Log& log)
      : clips_(clips),
        options_(options),
        log_(log),
        shards_({.cache_dir = options.shard_cache, .index_dir = index_folder()}, log) {}

  // `may_be_gone`: see ListOptions.
  void read(const fs::path& data, bool may_be_gone);
  // Files that were named but belong to other files, such as subtitles, and are no clips.
  const std::vector<std::string>& left_out() const { return left_out_; }

 private:
  void read_folder(const fs::path& folder);
  void read_shards_of(const fs::path& folder, const FolderTars& tars);
  void read_shards(const std::vector<std::string>& shards);
  void read_file(const fs::path& file);

  ClipListBuilder& clips_;
  const ListOptions& options_;
  Log& log_;
  ShardReader shards_;
  std::vector<std::string> left_out_;
  bool may_be_gone_ = false;  // what is read now
};

void DataReader::read_shards(const std::vector<std::string>& shards) {
  for (const std::string& name : shards) {
    std::error_code failed;
    if (!is_remote(name) && !fs::exists(name, failed)) {
      if (!may_be_gone_) throw_missing(name);
      log_.warn("--data {}: is not there any more, and left out", name);
      continue;
    }
    if (!unpacking_of_name(name).empty()) throw_compressed(name);
    const ShardContents contents = shards_.read(name);
    clips_.begin_shard(contents.shard);
    for (const ListedClip& clip : contents.clips) clips_.add(clip);
    clips_.end_list();
  }
}

void DataReader::read_shards_of(const fs::path& folder, const FolderTars& tars) {
  check_pack_counts(folder, log_);
  if (!tars.compressed.empty())
    log_.warn("{}: {} compressed tars are left out; each {}", folder.string(), tars.compressed.size(),
              why_no_compressed_shard(unpacking_of_name(tars.compressed.front())));
  log_.info("{}: reading its {} shards", folder.string(), tars.shards.size());
  read_shards(tars.shards);
}

void DataReader::read_folder(const fs::path& folder) {
  std::error_code failed;
  if (fs::is_regular_file(folder / kManifestName, failed)) {
    log_.info("{}: using its {}", folder.string(), kManifestName);
    return read_list_file(folder / kManifestName, clips_, log_);
  }
  const FolderTars tars = tars_in(folder);
  if (!tars.shards.empty()) return read_shards_of(folder, tars);
  const FolderScan found = find_media_files(
      folder, {.unknown = options_.all_files ? UnknownFiles::open : UnknownFiles::leave_out}, log_);
  if (found.media.empty() && may_be_gone_)
    return log_.warn("--data {}: no media file in this folder or below it", folder.string());
  if (found.media.empty() && !tars.compressed.empty()) throw_compressed(tars.compressed.front());
  CAVMAE_CHECK_AS(DataError, !found.media.empty(), "--data ", folder.string(),
                  ": no media file in this folder or below it (", found.left_out.text(), "); looked for ",
                  known_media_extensions());
  if (found.left_out.count() > 0) log_.info("{}: {}", folder.string(), found.left_out.text());
  clips_.begin_list(folder.string(), folder, ListPlace::Style::whole);
  const std::string above = (folder / "").string();
  ListedClip clip;
  for (const fs::path& file : found.media) {
    clip.path = file.string().substr(above.size());
    clips_.add(clip);
  }
}

void DataReader::read_file(const fs::path& file) {
  if (is_sidecar(file)) {
    left_out_.push_back(file.string());
    return;
  }
  if (is_list_file(file)) return read_list_file(file, clips_, log_);
  const std::string problem = media_kind(file.native()) == MediaKind::unknown ? why_no_media(file) : "";
  CAVMAE_CHECK_AS(
      DataError, problem.empty(), "--data ", file.string(),
      ": is no folder, no list (.txt .lst .csv .tsv .jsonl .ndjson .json) and no media file: ", problem);
  clips_.begin_list(file.string(), file.parent_path(), ListPlace::Style::whole);
  ListedClip clip;
  clip.path = file.filename().string();
  clips_.add(clip);
}

void DataReader::read(const fs::path& data, bool may_be_gone) {
  may_be_gone_ = may_be_gone;
  std::error_code failed;
  const std::vector<std::string> parts = part_names(data.string());
  if (parts.size() > 1 && !fs::exists(data, failed)) {
    for (const std::string& part : parts) read(part, may_be_gone);
    return;
  }
  const bool is_tar = names_shards(data.native()) || !unpacking_of_name(data.native()).empty();
  if (is_tar && fs::is_regular_file(data, failed)) return read_shards({data.string()});
  if (is_tar && !fs::is_directory(data, failed)) return read_shards(expand_range(data.string()));
  if (is_remote(data.native())) return read_shards(shards_.list(data.string()));
  if (!fs::exists(data, failed)) {
    CAVMAE_CHECK_AS(
        DataError,
        !failed || failed == std::errc::no_such_file_or_directory || failed == std::errc::not_a_directory,
        "--data ", data.string(), ": cannot be read: ", failed.message());
    if (!may_be_gone) throw_missing(data);
    return log_.warn("--data {}: is not there, and left out", data.string());
  }
  if (fs::is_directory(data, failed)) return read_folder(data);
  CAVMAE_CHECK_AS(DataError, fs::is_regular_file(data, failed), "--data ", data.string(),
                  ": is neither a file nor a folder");
  read_file(data);
}

}  // namespace

ClipList read_clip_sources(const std::vector<fs::path>& data, Log& log, const ListOptions& options,
                           const LabelSet* classes) {
  CAVMAE_CHECK_AS(ConfigError, !data.empty(), "--data is missing: give a folder, a list or a media file");
  const LabelCut cut(options.label_separator, classes);
  ClipListBuilder clips(cut, log);
  DataReader reader(clips, options, log);
  const auto& known = options.may_be_gone;
  for (const fs::path& one : data) reader.read(one, std::ranges::find(known, one) != known.end());
  const auto& left_out = reader.left_out();
  CAVMAE_CHECK_AS(DataError, clips.size() > 0 || left_out.empty(), left_out.front(),
                  ": belongs to a clip and is none itself");
  if (!left_out.empty())
    log.warn("{} files that were named belong to clips and are none, such as {}; they are left out",
             left_out.size(), left_out.front());
  return clips.finish();
}

bool is_there(const fs::path& data) {
  std::error_code failed;
  if (is_remote(data.native()) || fs::exists(data, failed)) return true;
  const std::vector<std::string> parts = part_names(data.string());
  if (parts.size() > 1)
    return std::ranges::any_of(parts, [](const std::string& part) { return is_there(part); });
  if (!names_shards(data.native())) return false;
  return std::ranges::any_of(expand_range(data.string()),
                             [&](const std::string& shard) { return fs::exists(shard, failed); });
}

std::string absolute_data(const fs::path& data) {
  std::error_code failed;
  const std::vector<std::string> parts = part_names(data.string());
  if (parts.size() < 2 || fs::exists(data, failed))
    return is_remote(data.native()) ? data.string() : absolute_path(data).string();
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : "::") + absolute_data(part);
  return out;
}

}  // namespace cavmae
