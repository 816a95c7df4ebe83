#include "cavmae/data/clip_source.h"

#include <unordered_map>
#include <unordered_set>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"
#include "cavmae/data/manifest.h"
#include "cavmae/data/media_files.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

constexpr const char* kManifestName = "manifest.jsonl";

// Names the first folder of the path that is missing, and what it may have been meant to be.
[[noreturn]] void throw_missing(const fs::path& path) {
  fs::path missing = fs::absolute(path).lexically_normal();
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

std::vector<ListedClip> read_folder(const fs::path& folder, Log& log) {
  std::error_code failed;
  if (fs::is_regular_file(folder / kManifestName, failed)) {
    log.info("{}: using its {}", folder.string(), kManifestName);
    return read_list_file(folder / kManifestName, log);
  }
  const FolderScan found = find_media_files(folder, log);
  CAVMAE_CHECK_AS(DataError, !found.media.empty(), "--data ", folder.string(),
                  ": no media file in this folder or below it (", found.num_other_files,
                  " other files); looked for ", known_media_extensions());
  std::vector<ListedClip> clips;
  for (const fs::path& file : found.media)
    clips.push_back({.clip = clip_of_file(file), .where = file.string(), .base = folder});
  return clips;
}

std::vector<ListedClip> read_one(const fs::path& data, Log& log) {
  std::error_code failed;
  if (!fs::exists(data, failed)) {
    CAVMAE_CHECK_AS(
        DataError,
        !failed || failed == std::errc::no_such_file_or_directory || failed == std::errc::not_a_directory,
        "--data ", data.string(), ": cannot be read: ", failed.message());
    throw_missing(data);
  }
  if (fs::is_directory(data, failed)) return read_folder(data, log);
  CAVMAE_CHECK_AS(DataError, fs::is_regular_file(data, failed), "--data ", data.string(),
                  ": is neither a file nor a folder");
  if (is_list_file(data)) return read_list_file(data, log);
  CAVMAE_CHECK_AS(DataError, media_kind(data) != MediaKind::unknown, "--data ", data.string(),
                  ": is no folder, no list (.txt .lst .csv .tsv .jsonl .ndjson .json) and no media file (",
                  known_media_extensions(), ")");
  return {{.clip = clip_of_file(data), .where = data.string(), .base = data.parent_path()}};
}

const MediaSource& main_source(const ClipSource& clip) {
  if (!clip.audio.empty()) return clip.audio;
  return !clip.video.empty() ? clip.video : clip.frames.front();
}

// Equal for two clips with the same content.
std::string identity(const ClipSource& clip) {
  const auto of = [](const MediaSource& source) {
    return source.empty() ? std::string() : source.identity();
  };
  std::string text = concat(of(clip.audio), "|", of(clip.video));
  for (const MediaSource& frame : clip.frames) text += "|" + of(frame);
  return clip.start_seconds ? concat(text, "@", *clip.start_seconds) : text;
}

// Leaves out clips without a name of their own that were listed before.
std::vector<ListedClip> without_repeated(std::vector<ListedClip> clips, Log& log) {
  std::unordered_set<std::string> seen;
  std::vector<ListedClip> out;
  for (ListedClip& listed : clips) {
    if (listed.clip.id.empty() && !seen.insert(identity(listed.clip)).second) continue;
    out.push_back(std::move(listed));
  }
  if (out.size() < clips.size())
    log.warn("{} clips are listed more than once and count once", clips.size() - out.size());
  return out;
}

// The name of a clip that its list does not name: the shortest is tried first.
std::string name_of_length(const ListedClip& listed, int length) {
  const MediaSource& source = main_source(listed.clip);
  if (length == 0) return fs::path(source.name()).stem().string();
  if (length == 1) return fs::path(source.name()).lexically_proximate(listed.base).string();
  if (length == 2) return source.identity();
  return identity(listed.clip);
}

constexpr int kNumLengths = 4;

// Gives every unnamed clip the shortest of its names that no other clip has.
void name_unnamed(std::vector<ListedClip>& clips, std::unordered_map<std::string, size_t>& taken) {
  std::vector<size_t> unnamed;
  for (size_t i = 0; i < clips.size(); ++i)
    if (clips[i].clip.id.empty()) unnamed.push_back(i);
  for (int length = 0; length < kNumLengths && !unnamed.empty(); ++length) {
    std::vector<std::string> names;
    std::unordered_map<std::string, int64_t> uses;
    for (const size_t i : unnamed) ++uses[names.emplace_back(name_of_length(clips[i], length))];
    std::vector<size_t> left;
    for (size_t u = 0; u < unnamed.size(); ++u) {
      const bool accepted = uses[names[u]] == 1 && taken.emplace(names[u], unnamed[u]).second;
      if (accepted) clips[unnamed[u]].clip.id = names[u];
      if (!accepted) left.push_back(unnamed[u]);
    }
    unnamed = std::move(left);
  }
  CAVMAE_CHECK_AS(DataError, unnamed.empty(), clips[unnamed[0]].where,
                  ": every name that this clip could have is taken; give it an 'id' in a manifest");
}

std::vector<ClipSource> with_unique_ids(std::vector<ListedClip> clips) {
  std::unordered_map<std::string, size_t> taken;
  for (size_t i = 0; i < clips.size(); ++i) {
    if (clips[i].clip.id.empty()) continue;
    const auto [it, is_new] = taken.emplace(clips[i].clip.id, i);
    CAVMAE_CHECK_AS(DataError, is_new, clips[i].where, ": the id '", clips[i].clip.id,
                    "' was given before, at ", clips[it->second].where, "; every clip needs its own");
  }
  name_unnamed(clips, taken);
  std::vector<ClipSource> out;
  for (ListedClip& listed : clips) out.push_back(std::move(listed.clip));
  return out;
}

}  // namespace

std::vector<ClipSource> read_clip_sources(const std::vector<fs::path>& data, Log& log) {
  CAVMAE_CHECK_AS(ConfigError, !data.empty(), "--data is missing: give a folder, a list or a media file");
  std::vector<ListedClip> clips;
  for (const fs::path& one : data) {
    for (ListedClip& listed : read_one(one, log)) clips.push_back(std::move(listed));
  }
  return with_unique_ids(without_repeated(std::move(clips), log));
}

}  // namespace cavmae
