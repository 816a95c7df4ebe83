#include "cavmae/data/manifest.h"

#include <algorithm>
#include <string_view>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"
#include "cavmae/data/list_formats.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

bool exists(const ClipSource& clip) {
  for (const MediaSource* source : {&clip.audio, &clip.video})
    if (!source->empty() && source->exists()) return true;
  return std::ranges::any_of(clip.frames, [](const MediaSource& frame) { return frame.exists(); });
}

// A list whose paths lead nowhere is a mistake of the list, not a number of bad clips.
void check_that_files_exist(const fs::path& path, const ClipListBuilder& clips, size_t first) {
  constexpr size_t kLookedAt = 10;
  const size_t n = std::min(kLookedAt, clips.size() - first);
  for (size_t i = 0; i < n; ++i)
    if (exists(clips.clip(first + i))) return;
  const ClipSource clip = clips.clip(first);
  const MediaSource& source = !clip.audio.empty()   ? clip.audio
                              : !clip.video.empty() ? clip.video
                                                    : clip.frames[0];
  throw DataError(concat(path.string(), ": none of the files of its first ", n, " clip", n == 1 ? "" : "s",
                         " exists, such as ", source, "; relative paths are relative to the list's folder"));
}

// Whether a list of paths is a table whose extension does not say so.
bool begins_as_table(const fs::path& path) {
  TextReader text(path);
  for (std::string_view line; text.next_line(line);)
    if (!trim(line).empty() && !line.starts_with('#')) return trim(line).find('\t') != std::string_view::npos;
  return false;
}

}  // namespace

std::string read_list_text(const fs::path& path) {
  TextReader reader(path);
  std::string text;
  for (std::string_view piece = reader.next_piece(); !piece.empty(); piece = reader.next_piece())
    text += piece;
  return text;
}

bool is_list_file(const fs::path& path) {
  static constexpr const char* kExtensions[] = {".txt", ".lst", ".csv", ".tsv", ".jsonl", ".ndjson", ".json"};
  const std::string extension = lower(path.extension().string());
  return std::find(std::begin(kExtensions), std::end(kExtensions), extension) != std::end(kExtensions);
}

void read_list_file(const fs::path& path, ClipListBuilder& clips, Log& log) {
  const std::string extension = lower(path.extension().string());
  const bool is_document = extension == ".json";
  const size_t first = clips.size();
  const ListTarget target{.clips = clips, .log = log};
  clips.begin_list(path.string(), path.parent_path(),
                   is_document ? ListPlace::Style::entry : ListPlace::Style::line);
  TextReader text(path);
  if (is_document) {
    read_authors_json(text, target);
  } else if (extension == ".jsonl" || extension == ".ndjson") {
    read_jsonl(text, target);
  } else if (extension == ".csv" || extension == ".tsv" || begins_as_table(path)) {
    read_table(text, target);
  } else {
    read_path_list(text, target);
  }
  clips.end_list();
  CAVMAE_CHECK_AS(DataError, clips.size() > first, path.string(), ": lists no clips");
  check_that_files_exist(path, clips, first);
}

}  // namespace cavmae
