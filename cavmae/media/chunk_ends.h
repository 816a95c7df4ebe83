// Whether a file that is a row of chunks, each with its size in front, ends within one. Private to this
// folder; file_end.h has the other containers. Free functions; safe from any thread.
#pragma once

#include "cavmae/media/media_io.h"

namespace cavmae {

bool avi_chunks_end_early(const MediaIo& io);  // also where the size of the whole was never filled in
bool caf_ends_early(const MediaIo& io);
bool w64_ends_early(const MediaIo& io);
bool voc_ends_early(const MediaIo& io);
bool wavpack_ends_early(const MediaIo& io);

}  // namespace cavmae
