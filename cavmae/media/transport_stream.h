// The end of an MPEG transport stream, whose packets of 188 bytes tell more than FFmpeg gives out. Private to
// this folder. Free functions.
#pragma once

#include "cavmae/media/media_io.h"

namespace cavmae {

// Whether the last transport packet is whole.
bool ends_with_a_transport_packet(const MediaIo& io);

// Whether the last transport packet of this stream is full. Multiplexers fill up the last one of a picture,
// so that most likely there was more of it.
bool last_transport_packet_is_full(const MediaIo& io, int pid);

}  // namespace cavmae
