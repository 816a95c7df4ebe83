// Whole files that FFmpeg cannot read, so that no error calls them damaged. Private to this folder; safe from
// several threads.
#pragma once

#include <string>

#include "cavmae/media/media_source.h"

namespace cavmae {

// What kind of picture the bytes are, of those that FFmpeg 5.1 is known not to read: "is a HEIC picture";
// else empty. To be asked after it has failed, since later versions read some of them.
std::string unsupported_kind(const MediaBytes& bytes);

// The same of what FFmpeg reads without an error, and wrongly: TIFF with JPEG inside, or in numbers of
// another kind. To be asked first.
std::string misread_kind(const MediaBytes& bytes);

// Whether FFmpeg's error says that it lacks something, and not that the data are wrong.
bool is_unsupported(int error);

// "which this FFmpeg (5.1.9) cannot read; convert it to ...".
std::string cannot_read();

}  // namespace cavmae
