#include <algorithm>

#include "cavmae/core/error.h"
#include "cavmae/media/audio_track.h"
#include "cavmae/media/demuxer.h"
#include "cavmae/media/has_media.h"
#include "cavmae/media/limits.h"
#include "cavmae/media/media_decoding.h"
#include "cavmae/media/media_reader.h"
#include "cavmae/media/orientation.h"

namespace cavmae {
namespace {

void describe_audio(const AVStream& stream, MediaInfo& info) {
  info.sample_rate_hz = stream.codecpar->sample_rate;
  info.num_channels = stream.codecpar->ch_layout.nb_channels;
  info.audio_codec = avcodec_get_name(stream.codecpar->codec_id);
}

// How wide a pixel is for its height; 1 where nothing is said.
double pixel_aspect_ratio(const AVStream& stream) {
  for (const AVRational ratio : {stream.sample_aspect_ratio, stream.codecpar->sample_aspect_ratio})
    if (ratio.num > 0 && ratio.den > 0) return av_q2d(ratio);
  return 1.0;
}

std::string hdr_name(AVColorTransferCharacteristic transfer) {
  return transfer == AVCOL_TRC_SMPTE2084 ? "PQ" : transfer == AVCOL_TRC_ARIB_STD_B67 ? "HLG" : "";
}

void describe_video(const AVStream& stream, const Orientation& orientation, MediaInfo& info) {
  info.video_codec = avcodec_get_name(stream.codecpar->codec_id);
  info.rotation_degrees = orientation.rotation_degrees();
  info.is_mirrored = orientation.is_mirrored();
  info.width_px = stream.codecpar->width;
  info.height_px = stream.codecpar->height;
  info.pixel_aspect_ratio = pixel_aspect_ratio(stream);
  if (orientation.transpose) {
    std::swap(info.width_px, info.height_px);
    info.pixel_aspect_ratio = 1.0 / info.pixel_aspect_ratio;
  }
  info.hdr = hdr_name(stream.codecpar->color_trc);
  const AVRational rate = stream.avg_frame_rate.num > 0 ? stream.avg_frame_rate : stream.r_frame_rate;
  if (!info.is_picture && rate.num > 0 && rate.den > 0) info.frame_rate_hz = av_q2d(rate);
}

// A photo's is in its EXIF data.
Orientation shown_orientation(const MediaSource& source, const Demuxer& demuxer, const MediaChoice& choice) {
  if (!demuxer.is_picture())
    return avif_orientation(*source.open()).value_or(orientation_of(*demuxer.video_stream()));
  return choice.exif ? exif_orientation(*source.open()) : Orientation{};
}

}  // namespace

bool has_media() {
  return true;
}

int decoder_version() {
  return static_cast<int>(avcodec_version() >> 16);
}

MediaInfo probe_media(const MediaSource& source, const MediaChoice& choice) {
  if (const MediaDecoding* elsewhere = source.decoding()) return elsewhere->probe(choice);
  const Demuxer demuxer(source, choice.audio_track);
  AVFormatContext& context = demuxer.context();
  MediaInfo info;
  info.container = context.iformat->name;
  info.is_picture = demuxer.is_picture();
  if (info.is_picture) {
    avformat_find_stream_info(&context, nullptr);
    if (demuxer.require_video_stream().codecpar->width <= 0) demuxer.fail_to_decode(0);
  }
  info.times = demuxer.times();
  info.duration_seconds = info.times.end_seconds();
  if (!(info.duration_seconds <= kMaxSeconds))
    demuxer.fail(
        concat("says that it lasts ", info.duration_seconds, " s; at most ", kMaxSeconds,
               " are read: its header or clock is damaged, write it anew (ffmpeg -i FILE -c copy NEW)"));
  info.num_audio_tracks = num_audio_tracks(context);
  // What is there and cannot be decoded is told by what reads it, so that it is not taken for absent.
  info.audio_problem = demuxer.audio_problem();
  info.video_problem = demuxer.video_problem();
  info.has_audio = demuxer.audio_stream() != nullptr || !demuxer.audio_problem().empty();
  info.has_video = demuxer.video_stream() != nullptr || !demuxer.video_problem().empty();
  if (const AVStream* audio = demuxer.audio_stream()) {
    describe_audio(*audio, info);
    info.audio_track = audio_track_number(context, *audio);
  }
  if (const AVStream* video = demuxer.video_stream())
    describe_video(*video, shown_orientation(source, demuxer, choice), info);
  return info;
}

}  // namespace cavmae
