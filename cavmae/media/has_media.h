// Whether this build has the media libraries. A free function, safe from any thread.
#pragma once

namespace cavmae {

// False after cmake -DCAVMAE_MEDIA=OFF: then all that media_reader.h, image_writer.h and video_writer.h
// declare throws MediaError.
bool has_media();

// The major version of the library that decodes, on which pixels and samples may depend; 0 without one.
int decoder_version();

}  // namespace cavmae
