// What a clip becomes in a shard: members that are called by extensions, and what is known of the clip. Free
// functions; safe from several threads.
#pragma once

#include <span>
#include <string>
#include <variant>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/data/clip_reader.h"
#include "cavmae/data/pack.h"

namespace cavmae {

struct MemberToWrite {
  std::string extension;                         // ".mp4", ".0.jpg"
  std::variant<MediaSource, std::string> bytes;  // copied, or given
};

struct SampleToWrite {
  std::vector<MemberToWrite> members;
  Json facts;  // the .json member
};

// The clip's files as they are. Throws MediaError where one is missing.
SampleToWrite sample_of_files(const ClipSource& clip);

// One window of its sound as .wav, and pictures of it as .0.jpg and so on. `reader`: of a spec with that
// window. Throws MediaError for what cannot be read.
SampleToWrite prepared_sample(const ClipSource& clip, const ClipReader& reader, const PreparedPictures& how);

// waveform: float [n] in [-1, 1]. Returns the bytes of a .wav file, 16 bits, one channel.
std::string encode_wav(std::span<const float> waveform, int64_t sample_rate_hz);

}  // namespace cavmae
