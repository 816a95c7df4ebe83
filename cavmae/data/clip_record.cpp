#include "cavmae/data/clip_record.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"

namespace cavmae {
namespace {

constexpr std::string_view kPathKeys[] = {"path",     "file_name", "filename", "file",
                                          "filepath", "file_path", "fname"};
constexpr std::string_view kOtherKeys[] = {"audio",  "image", "frames",        "id",
                                           "labels", "label", "start_seconds", "end_seconds"};
// What 'cavmae synth' writes besides, and what people keep for themselves.
constexpr std::string_view kPassedOver[] = {"parameters", "seed", "index", "comment"};
// Words that are not near enough as letters.
constexpr std::pair<std::string_view, std::string_view> kMeant[] = {{"start", "start_seconds"},
                                                                    {"offset", "start_seconds"},
                                                                    {"begin", "start_seconds"},
                                                                    {"start_time", "start_seconds"},
                                                                    {"end", "end_seconds"},
                                                                    {"end_time", "end_seconds"},
                                                                    {"class", "labels"},
                                                                    {"classes", "labels"},
                                                                    {"category", "labels"},
                                                                    {"tags", "labels"},
                                                                    {"target", "labels"},
                                                                    {"name", "id"},
                                                                    {"video_id", "id"},
                                                                    {"clip_id", "id"},
                                                                    {"ytid", "id"},
                                                                    {"wav", "audio"},
                                                                    {"sound", "audio"},
                                                                    {"video", "path"},
                                                                    {"picture", "image"},
                                                                    {"img", "image"},
                                                                    {"images", "frames"},
                                                                    {"pictures", "frames"}};
constexpr const char* kAllowedPaths = "'path', or 'audio' and 'image', or 'audio' and 'frames'";

template <class List>
bool is_among(const List& list, std::string_view word) {
  return std::ranges::find(list, word) != std::end(list);
}

const FieldValue* find_path(const ListRecord& record) {
  for (const std::string_view key : kPathKeys)
    if (const FieldValue* value = record.find(key)) return value;
  return nullptr;
}

const std::string& path_in(const FieldValue& value, std::string_view key, const ListPlace& place) {
  CAVMAE_CHECK_AS(DataError, value.is_text() && !value.text.empty(), place, ": '", key,
                  "' must be the path of a file, found ", shown(value));
  return value.text;
}

void read_frames(const FieldValue& value, const ListPlace& place, ListedClip& clip) {
  const bool is_list = value.kind == FieldValue::Kind::texts;
  CAVMAE_CHECK_AS(DataError, is_list && !(value.texts.empty() && value.no_text.empty()), place,
                  ": 'frames' must be a list of pictures in order, found ", shown(value));
  CAVMAE_CHECK_AS(DataError, value.no_text.empty() && !is_among(value.texts, ""), place,
                  ": 'frames' must hold paths of pictures, found ",
                  value.no_text.empty() ? "\"\"" : value.no_text);
  clip.frames = value.texts;
}

void read_media(const ListRecord& record, const ListPlace& place, ListedClip& clip) {
  const FieldValue* path = find_path(record);
  const FieldValue *audio = record.find("audio"), *image = record.find("image"),
                   *frames = record.find("frames");
  CAVMAE_CHECK_AS(DataError, path || audio || image || frames, place, ": names no media file; expected ",
                  kAllowedPaths, ", found the keys ", record.keys());
  CAVMAE_CHECK_AS(DataError, !(path && (audio || image || frames)) && !(image && frames), place,
                  ": too many media files; give either ", kAllowedPaths, ", found the keys ", record.keys());
  if (path) clip.path = path_in(*path, "path", place);
  if (audio) clip.audio = path_in(*audio, "audio", place);
  if (image) clip.video = path_in(*image, "image", place);
  if (frames) read_frames(*frames, place, clip);
}

std::optional<double> read_seconds(const ListRecord& record, std::string_view key, const ListPlace& place) {
  const FieldValue* value = record.find(key);
  if (value == nullptr) return std::nullopt;
  const bool is_number = value->kind == FieldValue::Kind::number;
  CAVMAE_CHECK_AS(DataError, is_number && value->number >= 0 && std::isfinite(value->number), place, ": '",
                  key, "' must be a number of at least 0, found ", shown(*value));
  return value->number + 0.0;  // no -0
}

void read_id(const FieldValue& value, const ListPlace& place, ListedClip& clip) {
  const bool is_number = value.kind == FieldValue::Kind::number && value.whole;
  CAVMAE_CHECK_AS(DataError, value.is_text() || is_number, place,
                  ": 'id' must be text or a whole number, found ", shown(value));
  CAVMAE_CHECK_AS(DataError, !value.text.empty(), place, ": 'id' is empty; leave it out or give it a value");
  clip.id = value.text;
}

// One label as labels are when a text is cut.
std::string as_label(const std::string& text, const ListPlace& place) {
  const std::string_view label = trim(text);
  CAVMAE_CHECK_AS(DataError, !label.empty(), place, ": 'labels' holds an empty text; leave it out");
  return std::string(label);
}

}  // namespace

bool is_path_key(std::string_view key) {
  return is_among(kPathKeys, key);
}

bool is_record_key(std::string_view key) {
  return is_among(kPathKeys, key) || is_among(kOtherKeys, key) || is_among(kPassedOver, key);
}

std::string_view record_key_before(std::string_view key, const std::function<bool(std::string_view)>& has) {
  if (key == "label") return has("labels") ? "labels" : "";
  if (!is_path_key(key)) return "";
  for (const std::string_view path : kPathKeys) {
    if (path == key) break;
    if (has(path)) return path;
  }
  return "";
}

void check_segment(const ListedClip& clip, const ListPlace& place) {
  if (!clip.end_seconds) return;
  CAVMAE_CHECK_AS(DataError, clip.start_seconds.has_value(), place,
                  ": 'end_seconds' needs a 'start_seconds'; give both or none");
  CAVMAE_CHECK_AS(DataError, *clip.end_seconds > *clip.start_seconds, place,
                  ": 'end_seconds' must be later than 'start_seconds', found ", *clip.start_seconds, " to ",
                  *clip.end_seconds);
}

std::string nearest_record_key(std::string_view key) {
  const std::string word = lower(key);
  for (const auto& [said, meant] : kMeant)
    if (said == word) return std::string(meant);
  std::string best;
  size_t nearest = (word.size() - 1) / 2 < 2 ? 2 : 3;
  const auto consider = [&](std::string_view known) {
    const bool one_begins_other = word.starts_with(known) || known.starts_with(word);
    const size_t distance = one_begins_other ? 1 : edit_distance(word, known);
    if (word.size() >= 4 && distance < nearest) nearest = distance, best = known;
  };
  for (const std::string_view known : kOtherKeys) consider(known);
  for (const std::string_view known : kPathKeys) consider(known);
  return best;
}

void read_labels(const FieldValue& value, const ListPlace& place, ListedClip& clip) {
  if (value.is_text()) {
    clip.label_text = value.text;
    return;
  }
  CAVMAE_CHECK_AS(DataError, value.kind == FieldValue::Kind::texts, place,
                  ": 'labels' must be a list of words or a text, found ", shown(value));
  CAVMAE_CHECK_AS(DataError, value.no_text.empty(), place, ": 'labels' must hold words, found ",
                  value.no_text);
  for (const std::string& text : value.texts) clip.labels.push_back(as_label(text, place));
}

void ClipRecordReader::warn_of_unused_keys(const ListRecord& record, const ListPlace& place) {
  const auto has = [&](std::string_view key) { return record.find(key) != nullptr; };
  for (const auto& [key, value] : record) {
    if (is_record_key(key)) {
      const std::string_view instead = record_key_before(key, has);
      if (!instead.empty()) warn_of(key, concat(", '", instead, "' is taken"), place);
    } else if (!warned_.contains(key)) {
      const std::string meant = nearest_record_key(key);
      warn_of(key, meant.empty() || has(meant) ? "" : "; did you mean '" + meant + "'?", place);
    }
  }
}

void ClipRecordReader::warn_of(const std::string& key, const std::string& why, const ListPlace& place) {
  constexpr size_t kMostKeys = 20;
  if (warned_.size() < kMostKeys && warned_.insert(key).second)
    log_.warn("{}: the key '{}' is not used{}", place.text(), key, why);
}

void ClipRecordReader::read(const ListRecord& record, const ListPlace& place, ListedClip& clip) {
  clip.clear();
  read_media(record, place, clip);
  if (const FieldValue* id = record.find("id")) read_id(*id, place, clip);
  if (const FieldValue* labels = record.find("labels")) {
    read_labels(*labels, place, clip);
  } else if (const FieldValue* label = record.find("label")) {
    // One label, commas and all.
    const bool is_one = label->is_text() || (label->kind == FieldValue::Kind::number && label->whole);
    if (!is_one) read_labels(*label, place, clip);
    if (is_one && !label->text.empty()) clip.labels = {as_label(label->text, place)};
  }
  clip.start_seconds = read_seconds(record, "start_seconds", place);
  clip.end_seconds = read_seconds(record, "end_seconds", place);
  check_segment(clip, place);
  if (warns_) warn_of_unused_keys(record, place);
}

}  // namespace cavmae
