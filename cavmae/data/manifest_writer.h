// Writes lists of clips that manifest.h reads. A free function; safe from any thread.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "cavmae/data/clip_list.h"

namespace cavmae {

using LabelsOfClip = std::function<std::vector<std::string>(size_t)>;

// .jsonl (or .ndjson): any clips. .json: the authors' form, for clips that it can hold: a sound, or pictures
// at FOLDER/frame_N/ID.jpg, or both. Absolute paths stay so, others are made relative to the new file's
// folder. `labels` gives clip i others than its own. Throws DataError naming the clip that does not fit.
void write_manifest(const std::filesystem::path& path, const ClipList& clips,
                    const LabelsOfClip& labels = {});

// Throws ConfigError when no manifest can be written there, by its name or for want of a folder: worth asking
// before the work.
void check_manifest_path(const std::filesystem::path& path);

}  // namespace cavmae
