// Whether this build has the media libraries. A free function, safe from any thread.
#pragma once

namespace cavmae {

// False after cmake -DCAVMAE_MEDIA=OFF: then all that media_reader.h, image_writer.h and video_writer.h
// declare throws MediaError.
bool has_media();

}  // namespace cavmae
