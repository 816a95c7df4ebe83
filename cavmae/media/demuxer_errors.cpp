// What is said of a source that cannot be read.
#include <algorithm>
#include <array>
#include <string_view>

#include "cavmae/core/error.h"
#include "cavmae/media/demuxer.h"
#include "cavmae/media/jpeg_size.h"
#include "cavmae/media/limits.h"
#include "cavmae/media/unsupported.h"

namespace cavmae {
namespace {

// Whether the source begins as MP4 and QuickTime files do.
bool begins_like_mp4(const MediaIo& io) {
  constexpr std::array<std::string_view, 5> kFirstBoxes = {"ftyp", "mdat", "wide", "free", "skip"};
  return std::any_of(kFirstBoxes.begin(), kFirstBoxes.end(),
                     [&](std::string_view box) { return io.holds(4, box); });
}

}  // namespace

void Demuxer::fail_to_open(int error) const {
  io_.throw_if_failed();
  fail_if_too_large();
  if (error == AVERROR(ENOMEM)) fail_of_memory();
  const std::string kind = unsupported_kind(io_.bytes());
  if (!kind.empty()) fail(concat(kind, ", ", cannot_read()));
  if (error == AVERROR_INVALIDDATA && begins_like_mp4(io_))
    fail("is cut off or damaged: its index (the moov box) is missing; copy or record it again");
  if (error == AVERROR_EOF)
    fail("is cut off or damaged: it ends within its header or index; copy or record it again");
  if (error == AVERROR_INVALIDDATA) fail("is not a media file (FFmpeg does not know its format)");
  fail(concat("cannot be opened: ", ffmpeg::error_text(error)));
}

void Demuxer::fail_if_too_large() const {
  const ffmpeg::Refusals& refused = ffmpeg::refusals();
  if (uint64_t{refused.width} * refused.height > uint64_t{kMaxPixels})
    fail_of_size(refused.width, refused.height);
  // A JPEG that has not the bytes for its size is refused by FFmpeg before that.
  if (const auto size = jpeg_size(io_.bytes()); size && size->width * size->height > kMaxPixels)
    fail_of_size(size->width, size->height);
  if (refused.too_many_streams)
    fail(
        concat("has more than ", kMaxStreams,
               " streams; copy those that are wanted out of it (ffmpeg -i FILE -map 0:v:0 -map 0:a:0 -c copy "
               "NEW.mkv)"));
}

void Demuxer::fail_of_size(int64_t width, int64_t height) const {
  fail(concat("has pictures of ", width, "x", height, " pixels; at most ", kMaxPixels,
              " are read: scale it down (ffmpeg -i FILE -vf scale=1024:-2 NEW), or it is damaged"));
}

void Demuxer::fail_of_memory() const {
  fail(concat("asks for more memory than there is, or for more than ", kMaxBytesAtOnce,
              " bytes at once; it is damaged: copy or record it again"));
}

void Demuxer::fail_to_decode(int error) const {
  const std::string kind = unsupported_kind(io_.bytes());
  if (!kind.empty()) fail(concat(kind, ", ", cannot_read()));
  if (is_unsupported(error)) fail(concat("is of a kind ", cannot_read()));
  fail("holds no picture that can be decoded; it is cut off or damaged");
}

void Demuxer::fail(const std::string& what) const {
  throw MediaError(concat("'", name(), "' ", what));
}

}  // namespace cavmae
