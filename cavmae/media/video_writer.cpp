#include "cavmae/media/video_writer.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/media/ffmpeg.h"
#include "cavmae/media/mp4_track.h"

namespace cavmae {
namespace {

using ffmpeg::error_text;

void check_options(const std::string& file, const VideoWriterOptions& o) {
  CAVMAE_CHECK_AS(
      MediaError, o.width_px >= 2 && o.height_px >= 2 && o.width_px <= 8192 && o.height_px <= 8192, file,
      ": a video of ", o.width_px, "x", o.height_px, " pixels cannot be written; 2 to 8192 are allowed");
  CAVMAE_CHECK_AS(MediaError, o.width_px % 2 == 0 && o.height_px % 2 == 0, file, ": a video of ", o.width_px,
                  "x", o.height_px, " pixels cannot be written; both sides must be even");
  CAVMAE_CHECK_AS(MediaError, o.frame_rate_hz >= 1 && o.frame_rate_hz <= 240, file, ": ", o.frame_rate_hz,
                  " pictures a second cannot be written; 1 to 240 are allowed");
  CAVMAE_CHECK_AS(MediaError, o.crf >= 0 && o.crf <= 51, file, ": crf ", o.crf,
                  " is no quality of H.264; 0 to 51 are allowed");
}

}  // namespace

struct VideoWriter::State {
  std::filesystem::path path;
  std::string file;  // the path, as errors name it
  VideoWriterOptions options;
  Mp4Track video, audio;
  ffmpeg::Scaler scaler;
  ffmpeg::Frame picture = ffmpeg::make_frame();
  std::vector<float> samples;  // not yet encoded: fewer than a frame of the encoder
  bool finished = false;

  void make_scaler();
  void encode_samples(const float* data, size_t count);
};

void VideoWriter::State::make_scaler() {
  const int width = video.codec->width, height = video.codec->height;
  scaler.reset(sws_getContext(width, height, AV_PIX_FMT_RGB24, width, height, AV_PIX_FMT_YUV420P,
                              SWS_BICUBIC | SWS_FULL_CHR_H_INP | SWS_ACCURATE_RND | SWS_BITEXACT, nullptr,
                              nullptr, nullptr));
  picture->format = AV_PIX_FMT_YUV420P;
  picture->width = width;
  picture->height = height;
  const int result = av_frame_get_buffer(picture.get(), 0);
  CAVMAE_CHECK_AS(MediaError, scaler && result >= 0, file, ": cannot convert pictures to yuv420p");
}

void VideoWriter::State::encode_samples(const float* data, size_t count) {
  const auto frame = ffmpeg::make_frame();
  frame->format = audio.codec->sample_fmt;  // of one channel planar or not is the same
  frame->nb_samples = static_cast<int>(count);
  frame->sample_rate = audio.codec->sample_rate;
  frame->pts = audio.next_pts;
  int result = av_channel_layout_copy(&frame->ch_layout, &audio.codec->ch_layout);
  if (result >= 0) result = av_frame_get_buffer(frame.get(), 0);
  CAVMAE_CHECK_AS(MediaError, result >= 0, file, ": ", error_text(result));
  std::copy_n(data, count, reinterpret_cast<float*>(frame->data[0]));
  audio.next_pts += static_cast<int64_t>(count);
  encode(file, audio, frame.get());
}

VideoWriter::VideoWriter(const std::filesystem::path& path, const VideoWriterOptions& options)
    : state_(std::make_unique<State>()) {
  ffmpeg::tame();
  State& s = *state_;
  s.path = path;
  s.file = path.string();
  s.options = options;
  check_options(s.file, options);
  s.audio.codec = open_audio_encoder(s.file, options);
  if (options.container == VideoContainer::ogg) return;
  s.video.codec = open_video_encoder(s.file, options);
  s.make_scaler();
}

VideoWriter::~VideoWriter() = default;

void VideoWriter::add_frame(const Picture& picture) {
  State& s = *state_;
  CAVMAE_CHECK_AS(MediaError, !s.finished, s.file, ": a picture was added after finish()");
  CAVMAE_CHECK_AS(MediaError, s.video.codec != nullptr, s.file, ": an .ogg file has no pictures");
  CAVMAE_CHECK_AS(MediaError,
                  picture.height_px() == s.options.height_px && picture.width_px() == s.options.width_px,
                  s.file, ": a picture must be ", s.options.width_px, "x", s.options.height_px, ", not ",
                  picture.width_px(), "x", picture.height_px());
  // The encoder may still hold the last picture.
  CAVMAE_CHECK_AS(MediaError, av_frame_make_writable(s.picture.get()) >= 0, s.file, ": out of memory");
  const uint8_t* rows[] = {picture.pixels()};
  const int stride[] = {static_cast<int>(picture.row_bytes())};
  sws_scale(s.scaler.get(), rows, stride, 0, s.picture->height, s.picture->data, s.picture->linesize);
  s.picture->pts = s.video.next_pts++;
  encode(s.file, s.video, s.picture.get());
}

void VideoWriter::add_audio(std::span<const float> waveform) {
  State& s = *state_;
  CAVMAE_CHECK_AS(MediaError, !s.finished, s.file, ": sound was added after finish()");
  CAVMAE_CHECK_AS(MediaError, std::ranges::all_of(waveform, [](float x) { return std::isfinite(x); }), s.file,
                  ": the audio holds values that are not finite");
  s.samples.insert(s.samples.end(), waveform.begin(), waveform.end());
  const auto frame_size = static_cast<size_t>(s.audio.codec->frame_size);
  size_t used = 0;
  for (; s.samples.size() - used >= frame_size; used += frame_size)
    s.encode_samples(s.samples.data() + used, frame_size);
  s.samples.erase(s.samples.begin(), s.samples.begin() + static_cast<std::ptrdiff_t>(used));
}

std::string VideoWriter::finish_in_memory() {
  State& s = *state_;
  CAVMAE_CHECK_AS(MediaError, !s.finished, s.file, ": finish() was called twice");
  s.finished = true;
  if (!s.samples.empty()) s.encode_samples(s.samples.data(), s.samples.size());
  std::vector<Mp4Track*> tracks;
  for (Mp4Track* track : {&s.video, &s.audio}) {
    if (track->next_pts == 0) continue;
    encode(s.file, *track, nullptr);
    tracks.push_back(track);
  }
  CAVMAE_CHECK_AS(MediaError, !tracks.empty(), s.file, ": neither a picture nor sound was added");
  for (const auto& packet : s.video.packets)
    if (packet->duration == 0) packet->duration = 1;
  return mux(s.file, s.options.container, tracks);
}

void VideoWriter::finish() {
  const std::string bytes = finish_in_memory();
  try {
    write_file(state_->path, bytes);
  } catch (const MediaError&) {
    throw;
  } catch (const Error& e) {
    throw MediaError(e.what());
  }
}

}  // namespace cavmae
