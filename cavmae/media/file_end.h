// Whether a file ends before it should, as its container's own structure tells: boxes, elements, chunks and
// pages that reach beyond the last byte. Sizes that were never filled in (a file from a pipe) are no damage.
// Private to this folder. Free functions; safe from any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "cavmae/media/media_io.h"

namespace cavmae {

// Programs that write to a pipe leave 0, all ones or a little less than 2 or 4 GiB where a size belongs: one
// of at least this many bytes counts only where the file is as large.
constexpr int64_t kUnfilledBytes = 0x7fff0000;

// MP4 and QuickTime.
struct Mp4Structure {
  bool is_cut_off = false;
  bool has_fragments = false;
};
Mp4Structure mp4_structure(const MediaIo& io);

// Whether another Matroska file follows the first one, as cat joins them.
bool has_second_matroska(const MediaIo& io);

// The samples of a RIFF or RF64 wave file.
struct WavData {
  int64_t position_bytes = 0;
  int64_t declared_bytes = 0;  // 0: never filled in
  int64_t present_bytes = 0;   // of the declared ones, or of the file
};
std::optional<WavData> wav_data(const MediaIo& io);

// By the name of FFmpeg's demuxer; false also for containers whose structure does not tell.
bool ends_early(const MediaIo& io, const char* format);

}  // namespace cavmae
