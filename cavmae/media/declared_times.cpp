#include "cavmae/media/declared_times.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string_view>

#include "cavmae/media/file_end.h"

namespace cavmae {
namespace {

constexpr double kSameSeconds = 0.1;

double to_seconds(int64_t timestamp, const AVStream& stream) {
  return static_cast<double>(timestamp) * av_q2d(stream.time_base);
}

// The table of samples tells when each is decoded; the first one that is shown, how much later that is.
std::optional<StreamTimes> times_in_index(AVStream* stream) {
  const int count = avformat_index_get_entries_count(stream);
  int first = 0;
  while (first < count && (avformat_index_get_entry(stream, first)->flags & AVINDEX_DISCARD_FRAME) != 0)
    ++first;
  if (first >= count) return std::nullopt;
  const int64_t begin = avformat_index_get_entry(stream, first)->timestamp;
  const int64_t span = avformat_index_get_entry(stream, count - 1)->timestamp - begin;
  const int64_t typical = count - first > 1 ? span / (count - first - 1) : 0;
  // The stream's duration is the sum of its samples', unless a header has it shorter.
  const int64_t duration = std::max(stream->duration, int64_t{0});
  // FFmpeg gives a stream whose first packets it has not met the start of another one.
  const bool is_met = stream->start_time != AV_NOPTS_VALUE && stream->start_time >= begin;
  const int64_t start = is_met ? stream->start_time : begin;
  return StreamTimes{
      .start_seconds = to_seconds(start, *stream),
      .end_seconds = to_seconds(start + (duration > span ? duration : span + typical), *stream)};
}

// The index tells decoding times alone. Where pictures are reordered and stay for unlike times, one may be
// shown long after the last one is decoded; the length of the whole file shows that this may be so.
bool may_be_shown_later(const Demuxer& demuxer, const AVStream& stream, const StreamTimes& times) {
  const double file_seconds = static_cast<double>(demuxer.context().duration) / AV_TIME_BASE;
  return stream.codecpar->video_delay > 0 && file_seconds > times.end_seconds + kSameSeconds;
}

std::optional<MediaTimes> mp4_times(const Demuxer& demuxer) {
  if (mp4_structure(demuxer.io()).has_fragments) return std::nullopt;
  MediaTimes times;
  for (AVStream* stream : {demuxer.audio_stream(), demuxer.video_stream()}) {
    if (stream == nullptr) continue;
    const auto found = times_in_index(stream);
    if (!found || may_be_shown_later(demuxer, *stream, *found)) return std::nullopt;
    (stream == demuxer.video_stream() ? times.video : times.audio) = *found;
    if (stream == demuxer.video_stream()) {
      times.one_picture = avformat_index_get_entries_count(stream) == 1;
    } else if (avformat_index_get_entry(stream, 0)->timestamp >= stream->start_time) {
      times.priming_seconds = ffmpeg::priming_seconds(*stream->codecpar);
    }
  }
  return times;
}

// "00:00:06.023000000", the end of the stream. 0: there is none.
double duration_tag_seconds(const AVStream& stream) {
  const AVDictionaryEntry* tag = av_dict_get(stream.metadata, "DURATION", nullptr, 0);
  int hours = 0, minutes = 0;
  double rest = 0.0;
  const bool is_there = tag != nullptr && std::sscanf(tag->value, "%d:%d:%lf", &hours, &minutes, &rest) == 3;
  return is_there ? hours * 3600.0 + minutes * 60.0 + rest : 0.0;
}

// The tags count when the longest of them is the file's length: they are this file's then.
std::optional<MediaTimes> matroska_times(const Demuxer& demuxer) {
  if (has_second_matroska(demuxer.io())) return std::nullopt;
  const AVFormatContext& context = demuxer.context();
  double longest = 0.0;
  for (unsigned i = 0; i < context.nb_streams; ++i)
    longest = std::max(longest, duration_tag_seconds(*context.streams[i]));
  if (std::abs(longest - static_cast<double>(context.duration) / AV_TIME_BASE) > kSameSeconds)
    return std::nullopt;
  MediaTimes times;
  for (const AVStream* stream : {demuxer.audio_stream(), demuxer.video_stream()}) {
    if (stream == nullptr) continue;
    const double end = duration_tag_seconds(*stream);
    // mkvmerge's tag is the stream's length and not its end.
    const bool is_length =
        av_dict_get(stream->metadata, "_STATISTICS_WRITING_APP", nullptr, AV_DICT_IGNORE_SUFFIX);
    // FFmpeg gives a stream whose first packets it has not met the start, and then a length, of another one.
    const bool is_met = stream->start_time != AV_NOPTS_VALUE && stream->duration == AV_NOPTS_VALUE;
    if (end <= 0.0 || !is_met || is_length) return std::nullopt;
    const AVCodecParameters& parameters = *stream->codecpar;
    double start = to_seconds(stream->start_time, *stream);
    if (parameters.codec_type == AVMEDIA_TYPE_AUDIO && parameters.sample_rate > 0)
      start += static_cast<double>(parameters.initial_padding) / parameters.sample_rate;
    (stream == demuxer.video_stream() ? times.video : times.audio) = {.start_seconds = start,
                                                                      .end_seconds = end};
    if (stream == demuxer.video_stream()) {
      times.one_picture = (end - start) * av_q2d(stream->avg_frame_rate) < 1.5;
    } else if (parameters.initial_padding == 0) {
      times.priming_seconds = ffmpeg::priming_seconds(parameters);
    }
  }
  return times;
}

std::optional<MediaTimes> wav_times(const Demuxer& demuxer) {
  const AVCodecParameters& parameters = *demuxer.require_audio_stream().codecpar;
  const int bits = av_get_exact_bits_per_sample(parameters.codec_id);
  const auto data = wav_data(demuxer.io());
  const bool is_plain = bits >= 8 && parameters.block_align == bits / 8 * parameters.ch_layout.nb_channels;
  if (!data || !is_plain || parameters.block_align <= 0 || parameters.sample_rate <= 0) return std::nullopt;
  const int64_t bytes = std::max(data->declared_bytes, data->present_bytes);
  const auto samples = static_cast<double>(bytes / parameters.block_align);
  return MediaTimes{.audio = {.start_seconds = 0.0, .end_seconds = samples / parameters.sample_rate}};
}

// Where a header counts the samples of the whole.
std::optional<MediaTimes> counted_times(const Demuxer& demuxer) {
  const AVStream& stream = demuxer.require_audio_stream();
  const bool counts =
      stream.duration > 0 && demuxer.context().duration_estimation_method != AVFMT_DURATION_FROM_BITRATE;
  if (!counts || stream.start_time > 0) return std::nullopt;
  return MediaTimes{.audio = {.start_seconds = 0.0, .end_seconds = to_seconds(stream.duration, stream)}};
}

}  // namespace

std::optional<MediaTimes> declared_times(const Demuxer& demuxer) {
  const std::string_view format = demuxer.context().iformat->name;
  if (format == "mov,mp4,m4a,3gp,3g2,mj2") return mp4_times(demuxer);
  if (format == "matroska,webm") return matroska_times(demuxer);
  if (demuxer.audio_stream() == nullptr) return std::nullopt;
  if (format == "wav") return wav_times(demuxer);
  // A TTA packet says of the last frame that it is as long as the others.
  if (format == "flac" || format == "tta") return counted_times(demuxer);
  return std::nullopt;
}

}  // namespace cavmae
