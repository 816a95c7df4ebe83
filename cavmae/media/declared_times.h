// The lengths of a file's sound and pictures as its header tells them, where it tells each stream's own and
// can be held against the file. Private to this folder.
#pragma once

#include <optional>

#include "cavmae/media/demuxer.h"
#include "cavmae/media/media_times.h"

namespace cavmae {

// Of the demuxer's sound and video streams, on their own clock. Nothing: scan_packets() has to find out.
std::optional<MediaTimes> declared_times(const Demuxer& demuxer);

}  // namespace cavmae
