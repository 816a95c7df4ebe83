// One clip as a JSON object: a line of a JSONL manifest, or a row of a CSV list under its header's names. One
// owner; not for several threads at once.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/core/log.h"
#include "cavmae/data/manifest.h"

namespace cavmae {

// "a, b;c" -> a b c. Labels given as one text are split at commas and semicolons.
std::vector<std::string> split_labels(std::string_view text);

// Labels as a list of words, or as one text. Throws DataError that begins with `where`.
std::vector<std::string> read_labels(const Json& labels, const std::string& where);

// `json` as an error shows it: short, and text whatever it holds.
std::string shown(const Json& json);

// "'wav', 'lable'", the keys of an object as an error shows them; "none" when it is empty.
std::string key_list(const Json& object);

class ClipRecordReader {
 public:
  // Relative paths are relative to `base`.
  ClipRecordReader(std::filesystem::path base, Log& log) : base_(std::move(base)), log_(log) {}

  // Throws DataError that begins with `where`. A key that is almost a known one is logged, once.
  ListedClip read(const Json& record, const std::string& where);

 private:
  void read_media(const Json& record, const std::string& where, ClipSource& clip) const;
  std::filesystem::path read_path(const Json& record, const char* key, const std::string& where) const;
  void warn_of_misspelled_keys(const Json& record, const std::string& where);

  std::filesystem::path base_;
  Log& log_;
  std::set<std::string> warned_;
};

}  // namespace cavmae
