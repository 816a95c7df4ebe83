// The files that list clips: text, CSV, JSONL and the authors' JSON. Only the list is opened, never the media
// it names. Free functions; safe from any thread.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/data/clip_source.h"

namespace cavmae {

// A clip and where it was named. `clip.id` is empty where the list gives none.
struct ListedClip {
  ClipSource clip;
  std::string where;           // "clips.jsonl:12", or the file itself
  std::filesystem::path base;  // folder of the list, or the folder that was searched
};

// Whether the extension is one of a list: .txt .lst .csv .tsv .jsonl .ndjson .json.
bool is_list_file(const std::filesystem::path& path);

// The file's text without a byte order mark. Throws DataError when it cannot be read or is no text.
std::string read_list_text(const std::filesystem::path& path);

// Throws DataError naming the file and the line or entry. Relative paths are relative to the list.
std::vector<ListedClip> read_list_file(const std::filesystem::path& path, Log& log);

}  // namespace cavmae
