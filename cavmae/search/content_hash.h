// Hashes of bytes, by which files and segments are known again. Private to this folder; safe from any thread.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "cavmae/media/media_source.h"

namespace cavmae {

// 32 hex digits of XXH3, 128 bits.
std::string content_hash(std::string_view bytes);
// Of a source's bytes, read in pieces. Throws MediaError.
std::string content_hash(const MediaSource& source);
// Of a file's, likewise. Throws Error.
std::string content_hash_of_file(const std::filesystem::path& file);

}  // namespace cavmae
