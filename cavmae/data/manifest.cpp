#include "cavmae/data/manifest.h"

#include <algorithm>
#include <functional>
#include <string_view>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/json.h"
#include "cavmae/core/text.h"
#include "cavmae/data/clip_record.h"
#include "cavmae/data/csv.h"
#include "cavmae/data/media_files.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

constexpr int kAuthorsFrames = 10;  // frame_0 to frame_9

Json parse_or_data_error(const std::string& text, const std::string& where) {
  try {
    return parse_json(text, where);
  } catch (const ConfigError& e) {
    throw DataError(e.what());
  }
}

void for_each_line(std::string_view text,
                   const std::function<void(std::string_view line, int64_t number)>& visit) {
  int64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    ++number;
    if (const auto line = trim(text.substr(begin, end - begin)); !line.empty()) visit(line, number);
    begin = end + 1;
  }
}

ListedClip clip_of_listed_path(const fs::path& list, std::string_view path, int64_t line) {
  const fs::path base = list.parent_path();
  return {.clip = clip_of_file((base / path).lexically_normal()),
          .where = concat(list.string(), ":", line),
          .base = base};
}

std::vector<ListedClip> read_path_list(const fs::path& path, const std::string& text) {
  std::vector<ListedClip> clips;
  for_each_line(text, [&](std::string_view line, int64_t number) {
    if (!line.starts_with('#')) clips.push_back(clip_of_listed_path(path, line, number));
  });
  return clips;
}

std::vector<ListedClip> read_jsonl(const fs::path& path, const std::string& text, Log& log) {
  std::vector<ListedClip> clips;
  ClipRecordReader records(path.parent_path(), log);
  for_each_line(text, [&](std::string_view line, int64_t number) {
    const std::string where = concat(path.string(), ":", number);
    clips.push_back(records.read(parse_or_data_error(std::string(line), where), where));
  });
  return clips;
}

// A cell as the JSON that a record expects under this name.
Json cell_to_json(const std::string& name, const std::string& cell, const std::string& where) {
  if (name != "start_seconds") return cell;
  try {
    size_t used = 0;
    const double number = std::stod(cell, &used);
    if (used == cell.size()) return number;
  } catch (const std::exception&) {
  }
  throw DataError(concat(where, ": 'start_seconds' must be a number of at least 0, found '", cell, "'"));
}

bool names_media(const std::vector<std::string>& header) {
  return std::any_of(header.begin(), header.end(),
                     [](const auto& name) { return name == "path" || name == "audio" || name == "image"; });
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "'" : ", '") + word + "'";
  return text;
}

std::vector<ListedClip> read_csv(const fs::path& path, const std::string& text, Log& log) {
  const std::string where = path.string();
  const char separator = lower(path.extension().string()) == ".tsv" ? '\t' : ',';
  const auto rows = parse_csv(text, separator, where);
  if (rows.empty()) return {};
  std::vector<std::string> header;
  for (const auto& cell : rows[0].cells) header.push_back(lower(cell));
  std::vector<ListedClip> clips;
  if (!names_media(header)) {
    // Without a header a CSV file is a list of paths, which only one column can be.
    for (const auto& row : rows) {
      CAVMAE_CHECK_AS(DataError, row.cells.size() == 1 && rows[0].cells.size() == 1, where, ":", row.line,
                      ": the header has no column 'path' ('audio', 'image'), it is: ", joined(header));
      clips.push_back(clip_of_listed_path(path, row.cells[0], row.line));
    }
    return clips;
  }
  ClipRecordReader records(path.parent_path(), log);
  for (size_t r = 1; r < rows.size(); ++r) {
    const auto& row = rows[r];
    const std::string place = concat(where, ":", row.line);
    CAVMAE_CHECK_AS(DataError, row.cells.size() == header.size(), place, ": has ", row.cells.size(),
                    " cells where the header has ", header.size(),
                    "; put a cell that holds a comma in double quotes");
    Json record = Json::object();
    for (size_t i = 0; i < header.size(); ++i) {
      if (!row.cells[i].empty()) record[header[i]] = cell_to_json(header[i], row.cells[i], place);
    }
    clips.push_back(records.read(record, place));
  }
  return clips;
}

std::string text_field(const Json& entry, const char* key, const std::string& where) {
  if (!entry.contains(key) || entry[key].is_null()) return {};
  CAVMAE_CHECK_AS(DataError, entry[key].is_string(), where, ": '", key, "' must be text, found ",
                  shown(entry[key]));
  return entry[key].get<std::string>();
}

// {"wav", "video_id", "video_path", "labels"}; the pictures are video_path/frame_{0-9}/video_id.jpg, and one
// that is missing is replaced by a neighbour when the clip is read.
ListedClip read_authors_entry(const Json& entry, const fs::path& base, const std::string& where) {
  CAVMAE_CHECK_AS(DataError, entry.is_object(), where, ": expected an object, found ", shown(entry));
  const std::string wav = text_field(entry, "wav", where), id = text_field(entry, "video_id", where),
                    folder = text_field(entry, "video_path", where);
  CAVMAE_CHECK_AS(DataError, !wav.empty() || !folder.empty(), where,
                  ": names no media; expected 'wav', 'video_id' and 'video_path', found the keys ",
                  key_list(entry));
  CAVMAE_CHECK_AS(DataError, folder.empty() || !id.empty(), where,
                  ": 'video_path' needs a 'video_id' (pictures are video_path/frame_0/video_id.jpg)");
  ListedClip listed{.clip = {}, .where = where, .base = base};
  listed.clip.id = id;
  if (!wav.empty()) listed.clip.audio = (base / wav).lexically_normal();
  for (int i = 0; i < kAuthorsFrames && !folder.empty(); ++i)
    listed.clip.frames.push_back((base / folder / concat("frame_", i) / (id + ".jpg")).lexically_normal());
  if (entry.contains("labels") && !entry["labels"].is_null())
    listed.clip.labels = read_labels(entry["labels"], where);
  return listed;
}

std::vector<ListedClip> read_authors_json(const fs::path& path, const std::string& text) {
  const Json json = parse_or_data_error(text, path.string());
  CAVMAE_CHECK_AS(DataError, json.is_object() && json.contains("data") && json["data"].is_array(),
                  path.string(),
                  ": expected {\"data\": [{\"wav\", \"video_id\", \"video_path\", \"labels\"}]}, found ",
                  json.is_object() ? "the keys " + key_list(json) : shown(json),
                  "; a list with one object a line is called .jsonl");
  std::vector<ListedClip> clips;
  for (size_t i = 0; i < json["data"].size(); ++i)
    clips.push_back(
        read_authors_entry(json["data"][i], path.parent_path(), concat(path.string(), ": data[", i, "]")));
  return clips;
}

// A list whose paths lead nowhere is a mistake of the list, not a number of bad clips.
void check_that_files_exist(const fs::path& path, const std::vector<ListedClip>& clips) {
  constexpr size_t kLookedAt = 10;
  const size_t n = std::min(kLookedAt, clips.size());
  for (size_t i = 0; i < n; ++i) {
    const ClipSource& clip = clips[i].clip;
    for (const MediaSource* source : {&clip.audio, &clip.video})
      if (!source->empty() && source->exists()) return;
    for (const MediaSource& frame : clip.frames)
      if (frame.exists()) return;
  }
  const ClipSource& first = clips[0].clip;
  const MediaSource& source = !first.audio.empty()   ? first.audio
                              : !first.video.empty() ? first.video
                                                     : first.frames[0];
  throw DataError(concat(path.string(), ": none of the files of its first ", n, " clip", n == 1 ? "" : "s",
                         " exists, such as ", source, "; relative paths are relative to the list's folder"));
}

}  // namespace

std::string read_list_text(const fs::path& path) {
  std::string text;
  try {
    text = read_text(path);
  } catch (const Error& e) {
    throw DataError(e.what());
  }
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  CAVMAE_CHECK_AS(DataError, text.find('\0') == std::string::npos, path.string(),
                  ": holds zero bytes, so it is no text; a list must be UTF-8 text");
  return text;
}

bool is_list_file(const fs::path& path) {
  static constexpr const char* kExtensions[] = {".txt", ".lst", ".csv", ".tsv", ".jsonl", ".ndjson", ".json"};
  const std::string extension = lower(path.extension().string());
  return std::find(std::begin(kExtensions), std::end(kExtensions), extension) != std::end(kExtensions);
}

std::vector<ListedClip> read_list_file(const fs::path& path, Log& log) {
  const std::string text = read_list_text(path);
  const std::string extension = lower(path.extension().string());
  std::vector<ListedClip> clips;
  if (extension == ".json") {
    clips = read_authors_json(path, text);
  } else if (extension == ".jsonl" || extension == ".ndjson") {
    clips = read_jsonl(path, text, log);
  } else if (extension == ".csv" || extension == ".tsv") {
    clips = read_csv(path, text, log);
  } else {
    clips = read_path_list(path, text);
  }
  CAVMAE_CHECK_AS(DataError, !clips.empty(), path.string(), ": lists no clips");
  check_that_files_exist(path, clips);
  return clips;
}

}  // namespace cavmae
