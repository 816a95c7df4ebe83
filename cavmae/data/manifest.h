// The files that list clips: text, tables, manifests and the authors' JSON. Only the list is opened, never
// the media that it names. Free functions; safe from any thread.
#pragma once

#include <filesystem>
#include <string>

#include "cavmae/core/log.h"

namespace cavmae {

class ClipListBuilder;

// Whether the extension is one of a list: .txt .lst .csv .tsv .jsonl .ndjson .json.
bool is_list_file(const std::filesystem::path& path);

// The file's text without a byte order mark. Throws DataError when it cannot be read or is no text.
std::string read_list_text(const std::filesystem::path& path);

// Adds the list's clips. Relative paths are relative to the list. Throws DataError naming the file and the
// line or entry.
void read_list_file(const std::filesystem::path& path, ClipListBuilder& clips, Log& log);

}  // namespace cavmae
