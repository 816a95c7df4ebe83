// FFmpeg behind owning handles, its errors as text, and what differs between its versions. Private to this
// folder; a handle belongs to one thread at a time.
#pragma once

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/avutil.h>
#include <libavutil/channel_layout.h>
#include <libavutil/imgutils.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswresample/swresample.h>
#include <libswscale/swscale.h>
}

#include <cstdint>
#include <memory>
#include <string>

namespace cavmae::ffmpeg {

template <auto Free>
struct FreeByAddress {  // FFmpeg's usual way: the function takes the address of the pointer
  template <class T>
  void operator()(T* handle) const {
    Free(&handle);
  }
};
template <auto Free>
struct FreeByPointer {
  template <class T>
  void operator()(T* handle) const {
    Free(handle);
  }
};

using InputContext = std::unique_ptr<AVFormatContext, FreeByAddress<avformat_close_input>>;
using OutputContext = std::unique_ptr<AVFormatContext, FreeByPointer<avformat_free_context>>;
using CodecContext = std::unique_ptr<AVCodecContext, FreeByAddress<avcodec_free_context>>;
using Frame = std::unique_ptr<AVFrame, FreeByAddress<av_frame_free>>;
using Packet = std::unique_ptr<AVPacket, FreeByAddress<av_packet_free>>;
using Scaler = std::unique_ptr<SwsContext, FreeByPointer<sws_freeContext>>;
using Resampler = std::unique_ptr<SwrContext, FreeByAddress<swr_free>>;

// Empty handles; out of memory is std::bad_alloc.
Frame make_frame();
Packet make_packet();
CodecContext make_codec_context(const AVCodec* codec);

// Colours are enumerations that a file fills with any number, and FFmpeg passes on; one that the enumeration
// lacks may not even be read in C++. It becomes "not specified".
void drop_unknown_colours(AVCodecParameters& video);
void drop_unknown_colours(AVFrame& picture);

// "Invalid data found when processing input", for an AVERROR code.
std::string error_text(int code);

// "aac", or the four letters of a codec that FFmpeg does not know: "'vvc1'".
std::string codec_name(const AVStream& stream);

// FFmpeg prints nothing from now on and takes no more than kMaxBytesAtOnce at once: what matters is said by
// exceptions. Cheap to call again. Holds for the whole process.
void tame();

// What FFmpeg has refused on this thread and tells its log alone: pictures of more pixels than it was allowed
// (the size of the last one), streams beyond the number that it was allowed.
struct Refusals {
  unsigned width = 0, height = 0;
  bool too_many_streams = false;
};
Refusals& refusals();

// What an encoder of this codec puts before its first sample, at the least; 0 where there is none.
double priming_seconds(const AVCodecParameters& audio);

}  // namespace cavmae::ffmpeg
