#include "cavmae/media/demuxer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <new>
#include <string_view>

#include "cavmae/core/error.h"
#include "cavmae/media/jpeg_size.h"
#include "cavmae/media/limits.h"

namespace cavmae {
namespace {

constexpr double kMaxPrimingSeconds = 0.2;  // no encoder needs more before its first sample

// Whether the source begins as MP4 and QuickTime files do.
bool begins_like_mp4(const MediaIo& io) {
  constexpr std::array<std::string_view, 5> kFirstBoxes = {"ftyp", "mdat", "wide", "free", "skip"};
  return std::any_of(kFirstBoxes.begin(), kFirstBoxes.end(),
                     [&](std::string_view box) { return io.holds(4, box); });
}

bool begins_like_wav(const MediaIo& io) {
  return io.holds(0, "RIFF") && io.holds(8, "WAVE");
}

// FFmpeg looks for compressed sound within the samples of a .wav, in up to 2,500 packets and by every format
// that it knows, which takes longer than all the rest: one small packet tells. Later ones had better be
// large.
void prepare_for_wav(AVDictionary** options) {
  av_dict_set(options, "max_probe_packets", "1", 0);
  av_dict_set(options, "max_size", "1024", 0);
}
void enlarge_wav_packets(AVFormatContext& context) {
  av_opt_set_int(context.priv_data, "max_size", 65536, 0);
}

// What FFmpeg would open but is no clip: text drawn as pictures, and lists that point to other files.
bool is_clip_format(std::string_view format) {
  constexpr std::array<std::string_view, 6> kRefused = {"tty", "hls", "concat", "dash", "sdp", "ffmetadata"};
  return std::find(kRefused.begin(), kRefused.end(), format) == kRefused.end();
}

bool is_picture_format(std::string_view format) {
  return format == "image2" || format.ends_with("_pipe");
}

bool can_decode(const AVStream& stream) {
  return avcodec_find_decoder(stream.codecpar->codec_id) != nullptr;
}

}  // namespace

Demuxer::Demuxer(const MediaSource& source) : source_(source), io_(source) {
  ffmpeg::tame();
  open();
}

// By the first bytes, and by the name's extension where these leave a doubt.
const AVInputFormat& Demuxer::find_format(AVIOContext& io) const {
  const AVInputFormat* format = nullptr;
  const int result = av_probe_input_buffer2(&io, &format, name().c_str(), nullptr, 0, 0);
  if (result < 0) fail_to_open(result);
  if (!is_clip_format(format->name))
    fail(concat("is not a media file (FFmpeg takes it for '", format->long_name, "')"));
  return *format;
}

void Demuxer::fail_to_open(int error) const {
  io_.throw_if_failed();
  fail_if_too_large();
  if (error == AVERROR(ENOMEM)) fail_of_memory();
  if (error == AVERROR_INVALIDDATA && begins_like_mp4(io_))
    fail("is cut off or damaged: its index (the moov box) is missing; copy or record it again");
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

void Demuxer::open() {
  ffmpeg::refusals() = {};
  AVIOContext* io = io_.begin();
  const bool is_wav = begins_like_wav(io_);
  const AVInputFormat* format = is_wav ? av_find_input_format("wav") : &find_format(*io);
  AVDictionary* options = nullptr;
  av_dict_set(&options, "protocol_whitelist", "none", 0);  // a clip never makes us read something else
  av_dict_set(&options, "pattern_type", "none", 0);        // '%' and '*' in a name are just letters
  if (is_wav) prepare_for_wav(&options);
  AVFormatContext* raw = avformat_alloc_context();
  if (raw == nullptr) throw std::bad_alloc();
  raw->pb = io;
  raw->interrupt_callback = io_.interrupt_callback();
  raw->max_streams = kMaxStreams;
  const int result = avformat_open_input(&raw, name().c_str(), format, &options);
  av_dict_free(&options);
  if (result < 0) fail_to_open(result);  // and `raw` is freed
  context_.reset(raw);
  // A picture's stream is known at once; looking closer would decode it a second time.
  if (!is_picture()) avformat_find_stream_info(context_.get(), nullptr);
  if (is_wav) enlarge_wav_packets(*context_);
  io_.throw_if_failed();
  choose_streams();
  if (audio_ == nullptr && video_ == nullptr) {
    fail_if_too_large();
    fail(concat("holds neither audio nor video that FFmpeg can decode (format ", context_->iformat->name,
                ")"));
  }
}

void Demuxer::choose_streams() {
  audio_ = video_ = nullptr;
  const int audio = av_find_best_stream(context_.get(), AVMEDIA_TYPE_AUDIO, -1, -1, nullptr, 0);
  if (audio >= 0) {
    AVStream* stream = context_->streams[audio];
    if (can_decode(*stream) && stream->codecpar->sample_rate > 0) audio_ = stream;
  }
  int64_t best_score = -1;
  for (unsigned i = 0; i < context_->nb_streams; ++i) {
    AVStream* stream = context_->streams[i];
    if (stream->codecpar->codec_type != AVMEDIA_TYPE_VIDEO || !can_decode(*stream)) continue;
    if ((stream->disposition & (AV_DISPOSITION_ATTACHED_PIC | AV_DISPOSITION_TIMED_THUMBNAILS)) != 0)
      continue;
    const int64_t area = int64_t{stream->codecpar->width} * stream->codecpar->height;
    if (area <= 0 && !is_picture()) continue;
    const int64_t score = area + ((stream->disposition & AV_DISPOSITION_DEFAULT) != 0 ? int64_t{1} << 40 : 0);
    if (score > best_score) {
      best_score = score;
      video_ = stream;
    }
  }
}

bool Demuxer::is_picture() const {
  return is_picture_format(context_->iformat->name);
}

AVStream& Demuxer::require_audio_stream() const {
  if (audio_ == nullptr) fail("has no audio");
  return *audio_;
}

AVStream& Demuxer::require_video_stream() const {
  if (video_ == nullptr) fail("has no video stream");
  return *video_;
}

void Demuxer::read_only(const AVStream& stream) {
  only_index_ = stream.index;
  for (unsigned i = 0; i < context_->nb_streams; ++i)
    context_->streams[i]->discard =
        context_->streams[i]->index == only_index_ ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
}

double Demuxer::origin_seconds() const {
  if (context_->start_time == AV_NOPTS_VALUE) return 0.0;
  const double start = static_cast<double>(context_->start_time) / AV_TIME_BASE;
  // A little before 0 is the priming of an audio encoder, which is not shown.
  return start < 0.0 && start > -kMaxPrimingSeconds ? 0.0 : start;
}

double Demuxer::declared_end_seconds(const AVStream& stream) const {
  if (context_->duration_estimation_method == AVFMT_DURATION_FROM_BITRATE) return 0.0;
  if (stream.duration != AV_NOPTS_VALUE) {
    const int64_t start = stream.start_time == AV_NOPTS_VALUE ? 0 : stream.start_time;
    const bool has_start = stream.start_time != AV_NOPTS_VALUE;
    return static_cast<double>(start + stream.duration) * av_q2d(stream.time_base) -
           (has_start ? origin_seconds() : 0.0);
  }
  // Matroska as FFmpeg writes it: "00:00:06.023000000".
  const AVDictionaryEntry* tag = av_dict_get(stream.metadata, "DURATION", nullptr, 0);
  int hours = 0, minutes = 0;
  double seconds = 0.0;
  if (tag != nullptr && std::sscanf(tag->value, "%d:%d:%lf", &hours, &minutes, &seconds) == 3)
    return hours * 3600.0 + minutes * 60.0 + seconds;
  const bool alone = (audio_ == nullptr) != (video_ == nullptr);
  return alone && context_->duration > 0 ? static_cast<double>(context_->duration) / AV_TIME_BASE : 0.0;
}

bool Demuxer::seek(const AVStream& stream, int64_t timestamp) {
  if (av_seek_frame(context_.get(), stream.index, timestamp, AVSEEK_FLAG_BACKWARD) >= 0) return true;
  // Matroska indexes the pictures alone.
  if (video_ == nullptr || video_->index == stream.index) return false;
  const int64_t moved = av_rescale_q(timestamp, stream.time_base, video_->time_base);
  return av_seek_frame(context_.get(), video_->index, moved, AVSEEK_FLAG_BACKWARD) >= 0;
}

void Demuxer::restart() {
  context_.reset();
  open();
  if (only_index_ >= 0 && only_index_ < static_cast<int>(context_->nb_streams))
    read_only(*context_->streams[only_index_]);
}

void Demuxer::fail(const std::string& what) const {
  throw MediaError(concat("'", name(), "' ", what));
}

}  // namespace cavmae
