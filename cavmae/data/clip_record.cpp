#include "cavmae/data/clip_record.h"

#include <cmath>
#include <optional>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"
#include "cavmae/data/media_files.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

constexpr const char* kKnownKeys[] = {"path", "audio", "image", "frames", "id", "labels", "start_seconds"};
constexpr const char* kAllowedPaths = "'path', or 'audio' and 'image', or 'audio' and 'frames'";

bool has(const Json& record, const char* key) {
  return record.contains(key) && !record[key].is_null();
}

std::string read_id(const Json& id, const std::string& where) {
  CAVMAE_CHECK_AS(DataError, id.is_string() || id.is_number_integer(), where,
                  ": 'id' must be text or a whole number, found ", shown(id));
  const std::string text = id.is_string() ? id.get<std::string>() : id.dump();
  CAVMAE_CHECK_AS(DataError, !text.empty(), where, ": 'id' is empty; leave it out or give it a value");
  return text;
}

double read_start(const Json& start, const std::string& where) {
  const double seconds = start.is_number() ? start.get<double>() : -1.0;
  CAVMAE_CHECK_AS(DataError, seconds >= 0 && std::isfinite(seconds), where,
                  ": 'start_seconds' must be a number of at least 0, found ", shown(start));
  return seconds;
}

}  // namespace

std::vector<std::string> split_labels(std::string_view text) {
  std::vector<std::string> labels;
  for (const auto& part : split(text, ',')) {
    for (const auto& label : split(part, ';'))
      if (const auto word = trim(label); !word.empty()) labels.emplace_back(word);
  }
  return labels;
}

std::vector<std::string> read_labels(const Json& labels, const std::string& where) {
  if (labels.is_string()) return split_labels(labels.get<std::string>());
  CAVMAE_CHECK_AS(DataError, labels.is_array(), where, ": 'labels' must be a list of words or a text, found ",
                  shown(labels));
  std::vector<std::string> out;
  for (const Json& label : labels) {
    CAVMAE_CHECK_AS(DataError, label.is_string(), where, ": 'labels' must hold words, found ", shown(label));
    out.push_back(label.get<std::string>());
  }
  return out;
}

std::string shown(const Json& json) {
  constexpr size_t kLongest = 80;
  const std::string text = json.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
  return text.size() <= kLongest ? text : text.substr(0, kLongest) + "...";
}

std::string key_list(const Json& object) {
  std::string text;
  for (const auto& [key, value] : object.items()) text += (text.empty() ? "'" : ", '") + key + "'";
  return text.empty() ? "none" : text;
}

fs::path ClipRecordReader::read_path(const Json& record, const char* key, const std::string& where) const {
  const Json& value = record[key];
  CAVMAE_CHECK_AS(DataError, value.is_string() && !value.get<std::string>().empty(), where, ": '", key,
                  "' must be the path of a file, found ", shown(value));
  return (base_ / value.get<std::string>()).lexically_normal();
}

void ClipRecordReader::read_media(const Json& record, const std::string& where, ClipSource& clip) const {
  const bool path = has(record, "path"), audio = has(record, "audio"), image = has(record, "image"),
             frames = has(record, "frames");
  CAVMAE_CHECK_AS(DataError, path || audio || image || frames, where, ": names no media file; expected ",
                  kAllowedPaths, ", found the keys ", key_list(record));
  CAVMAE_CHECK_AS(DataError, !(path && (audio || image || frames)) && !(image && frames), where,
                  ": too many media files; give either ", kAllowedPaths, ", found the keys ",
                  key_list(record));
  if (path) {
    clip = clip_of_file(read_path(record, "path", where));
    return;
  }
  if (audio) clip.audio = read_path(record, "audio", where);
  if (image) clip.video = read_path(record, "image", where);
  if (!frames) return;
  const Json& list = record["frames"];
  CAVMAE_CHECK_AS(DataError, list.is_array() && !list.empty(), where,
                  ": 'frames' must be a list of pictures in order, found ", shown(list));
  for (const Json& item : list) {
    CAVMAE_CHECK_AS(DataError, item.is_string() && !item.get<std::string>().empty(), where,
                    ": 'frames' must hold paths of pictures, found ", shown(item));
    clip.frames.push_back((base_ / item.get<std::string>()).lexically_normal());
  }
}

void ClipRecordReader::warn_of_misspelled_keys(const Json& record, const std::string& where) {
  for (const auto& [key, value] : record.items()) {
    for (const char* known : kKnownKeys) {
      const size_t distance = edit_distance(key, known);
      if (distance == 0 || distance > 2 || record.contains(known) || key.size() < 4) continue;
      if (warned_.insert(key).second)
        log_.warn("{}: the key '{}' is not used; did you mean '{}'?", where, key, known);
    }
  }
}

ListedClip ClipRecordReader::read(const Json& record, const std::string& where) {
  CAVMAE_CHECK_AS(DataError, record.is_object(), where,
                  ": expected an object such as {\"path\": \"clip.mp4\"}, found ", shown(record));
  ListedClip listed{.clip = {}, .where = where, .base = base_};
  read_media(record, where, listed.clip);
  if (has(record, "id")) listed.clip.id = read_id(record["id"], where);
  if (has(record, "labels")) listed.clip.labels = read_labels(record["labels"], where);
  if (has(record, "start_seconds")) listed.clip.start_seconds = read_start(record["start_seconds"], where);
  warn_of_misspelled_keys(record, where);
  return listed;
}

}  // namespace cavmae
