// From a record of a manifest or a table to a clip. One owner; not for several threads at once.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "cavmae/core/log.h"
#include "cavmae/data/list_record.h"
#include "cavmae/data/listed_clip.h"

namespace cavmae {

// Whether a table with such a column, or a record with such a key, names its file under it: 'path' and what
// published lists call it ('file_name', 'filename', ...).
bool is_path_key(std::string_view key);

// The known key that `key` was probably meant to be; "" when there is none.
std::string nearest_record_key(std::string_view key);
bool is_record_key(std::string_view key);

// Of keys that say the same, the one that a record with both is read by: "path" for "file", "labels" for
// "label"; "" where `key` itself is read. `has`: whether the record has a key.
std::string_view record_key_before(std::string_view key, const std::function<bool(std::string_view)>& has);

// Throws DataError that begins with `place` where the times of the clip are those of no segment.
void check_segment(const ListedClip& clip, const ListPlace& place);

class ClipRecordReader {
 public:
  // Keys that are not used are logged once each where `warns`.
  explicit ClipRecordReader(Log& log, bool warns = true) : log_(log), warns_(warns) {}

  // Sets all of `clip` but its number. Throws DataError that begins with `place`.
  void read(const ListRecord& record, const ListPlace& place, ListedClip& clip);

 private:
  void warn_of_unused_keys(const ListRecord& record, const ListPlace& place);
  void warn_of(const std::string& key, const std::string& why, const ListPlace& place);

  Log& log_;
  bool warns_;
  std::set<std::string, std::less<>> warned_;
};

// `value` as labels: one text that is yet to be cut, or a list. Throws DataError that begins with `place`.
void read_labels(const FieldValue& value, const ListPlace& place, ListedClip& clip);

}  // namespace cavmae
