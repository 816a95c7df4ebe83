// Writes lists of clips that manifest.h reads. A free function; safe from any thread.
#pragma once

#include <filesystem>
#include <vector>

#include "cavmae/data/clip_source.h"

namespace cavmae {

// .jsonl (or .ndjson): any clips. .json: the authors' form, for clips that it can hold: a sound, or pictures
// at FOLDER/frame_N/ID.jpg, or both. Absolute paths stay so, others are made relative to the new file's
// folder. Throws DataError naming the clip that does not fit.
void write_manifest(const std::filesystem::path& path, const std::vector<ClipSource>& clips);

}  // namespace cavmae
