// A file that the decoders read, as a source for whatever reads media: none of its bytes are looked at in
// this process. Free function; the source is safe from several threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cavmae/media/media_source.h"
#include "cavmae/serve/decode_pool.h"
#include "cavmae/serve/http.h"

namespace cavmae {

struct DecodeLimits {
  double max_media_seconds = 0.0;  // longer files are refused; 0: any length
  int64_t max_pixels = 0;          // larger pictures are refused
  double time_limit_seconds = 30.0;
};

// `name`: as errors show it. `decoders` must outlive the source.
MediaSource decoded_file(DecodePool& decoders, std::shared_ptr<const OpenFile> file, const std::string& name,
                         const DecodeLimits& limits, Urgency urgency);

}  // namespace cavmae
