#include <algorithm>

#include "cavmae/core/error.h"
#include "cavmae/media/audio_track.h"
#include "cavmae/media/demuxer.h"
#include "cavmae/media/has_media.h"
#include "cavmae/media/limits.h"
#include "cavmae/media/media_reader.h"

namespace cavmae {
namespace {

void describe_audio(const AVStream& stream, MediaInfo& info) {
  info.has_audio = true;
  info.sample_rate_hz = stream.codecpar->sample_rate;
  info.num_channels = stream.codecpar->ch_layout.nb_channels;
  info.audio_codec = avcodec_get_name(stream.codecpar->codec_id);
}

void describe_video(const AVStream& stream, MediaInfo& info) {
  info.has_video = true;
  info.video_codec = avcodec_get_name(stream.codecpar->codec_id);
  info.rotation_degrees = ffmpeg::rotation_degrees(stream);
  info.width_px = stream.codecpar->width;
  info.height_px = stream.codecpar->height;
  if (info.rotation_degrees % 180 != 0) std::swap(info.width_px, info.height_px);
  const AVRational rate = stream.avg_frame_rate.num > 0 ? stream.avg_frame_rate : stream.r_frame_rate;
  if (!info.is_picture && rate.num > 0 && rate.den > 0) info.frame_rate_hz = av_q2d(rate);
}

}  // namespace

bool has_media() {
  return true;
}

int decoder_version() {
  return static_cast<int>(avcodec_version() >> 16);
}

MediaInfo probe_media(const MediaSource& source, const MediaChoice& choice) {
  const Demuxer demuxer(source, choice.audio_track);
  AVFormatContext& context = demuxer.context();
  MediaInfo info;
  info.container = context.iformat->name;
  info.is_picture = demuxer.is_picture();
  if (info.is_picture) {
    avformat_find_stream_info(&context, nullptr);
    if (demuxer.require_video_stream().codecpar->width <= 0) demuxer.fail("is not a picture or is damaged");
  }
  info.times = demuxer.times();
  info.duration_seconds = info.times.end_seconds();
  if (!(info.duration_seconds <= kMaxSeconds))
    demuxer.fail(
        concat("says that it lasts ", info.duration_seconds, " s; at most ", kMaxSeconds,
               " are read: its header or clock is damaged, write it anew (ffmpeg -i FILE -c copy NEW)"));
  info.num_audio_tracks = num_audio_tracks(context);
  if (demuxer.audio_stream() != nullptr) {
    info.audio_track = audio_track_number(context, *demuxer.audio_stream());
    describe_audio(*demuxer.audio_stream(), info);
  }
  // Sound of another programme does not count.
  info.has_undecodable_audio =
      demuxer.audio_stream() == nullptr && info.num_audio_tracks > 0 && context.nb_programs <= 1;
  info.has_undecodable_video = demuxer.undecodable_video() != nullptr;
  if (demuxer.video_stream() != nullptr) describe_video(*demuxer.video_stream(), info);
  return info;
}

}  // namespace cavmae
