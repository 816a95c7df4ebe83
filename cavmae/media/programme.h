// The programmes of a broadcast, each with sound and pictures of its own. Private to this folder.
#pragma once

#include "cavmae/media/ffmpeg.h"

namespace cavmae {

// Whether two streams belong together: in one programme, or where there are none.
bool share_programme(const AVFormatContext& context, const AVStream& first, const AVStream& second);

}  // namespace cavmae
