// How the sound before a window is passed over. Private to this folder and its tests; free functions.
#pragma once

#include "cavmae/media/ffmpeg.h"

namespace cavmae {

// Note [Seeking in sound]
// A window holds the samples that decoding the whole file gives, at the same places. Whether that can be had
// without decoding all that lies before depends on two things:
// - the codec: after how much sound a decoder that starts in the middle gives what one gives that started at
//   the beginning. At once where packets stand alone (PCM, FLAC), within a few frames where they overlap
//   (AAC, MP3, Vorbis), never for sure where each sample is predicted from the one before (ADPCM, G.726,
//   speech codecs).
// - the container: whether the timestamp of the packet that a seek arrives at is that of its first sample.
//   An index of packets and the numbers in Ogg's and FLAC's frames are; the place in bytes that a bit rate
//   gives, and the clock of a transport stream, are not.
// So seeking is done for the pairs that are known to be exact, and checked by the timestamps that follow. In
// the other containers, and where that check fails, packets are counted from the start if the codec's frames
// all have one size, and decoding begins shortly before the window. Everything else is decoded from the
// start.
enum class SoundSkip { decode, count, seek };

SoundSkip sound_skip(const AVInputFormat& container, const AVStream& stream);

// Whether each packet of the codec gives a frame, and all frames have one size.
bool has_constant_frames(AVCodecID codec);

// Whether packets of the codec may be counted in the place of their frames.
bool can_be_counted(AVCodecID codec);

}  // namespace cavmae
