// The lengths of a file's sound and pictures where no header tells them, or none that can be believed: all
// packets are read once, and none is decoded but the last ones, which show whether the file is whole. Private
// to this folder. Note [Time axis] says what becomes of a clock that begins again.
#pragma once

#include "cavmae/media/demuxer.h"
#include "cavmae/media/media_times.h"

namespace cavmae {

// Of the demuxer's sound and video streams. Reads it to the end.
MediaTimes scan_packets(Demuxer& demuxer);

}  // namespace cavmae
