// Cutting a moment out of its file. A free function; safe from several threads on different files.
#pragma once

#include <filesystem>

#include "cavmae/search/library_file.h"

namespace cavmae {

// Writes the moment as H.264 and AAC, or the part that the file has, in one channel, at the pictures' own
// rate and size (even numbers of pixels; up to 1,280 wide). `out` ends with .mp4. A single picture is shown
// for the length of its sound, or a second. Throws MediaError.
void export_moment(const LibraryFile& file, const Moment& moment, const std::filesystem::path& out);

}  // namespace cavmae
