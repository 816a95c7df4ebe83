// What cavmae-decode is asked and what it answers, and how both travel through its socket. Plain values and
// free functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cavmae/media/media_reader.h"
#include "cavmae/picture/picture.h"

namespace cavmae {

// probe:       what the file holds, as probe_media()
// audio:       a stretch of the sound, as read_audio()
// squares:     pictures as squares, as read_squares(), or read_square() of a single picture
// picture:     one picture, as JPEG
// clip:        a stretch as a browser plays it: WebM (VP8, Opus), or Ogg (Opus) where there is sound alone
// confinement: what the process can still do, see DecodeAnswer::freedoms
enum class DecodeKind { probe, audio, squares, picture, clip, confinement };
inline std::vector<std::pair<DecodeKind, std::string>> option_names(DecodeKind) {
  return {{DecodeKind::probe, "probe"},     {DecodeKind::audio, "audio"},
          {DecodeKind::squares, "squares"}, {DecodeKind::picture, "picture"},
          {DecodeKind::clip, "clip"},       {DecodeKind::confinement, "confinement"}};
}

// Of a descriptor's file, what is to be read.
struct FileRange {
  int64_t begin = 0, size = -1;  // -1: to the end

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("begin", o.begin, "");
    v("size", o.size, "");
  }
  bool operator==(const FileRange&) const = default;
};

struct DecodeJob {
  DecodeKind kind = DecodeKind::probe;
  std::string name;                         // of the file, for errors and its extension
  std::string sound_name = {};              // of the sound, where it is a file of its own; else empty
  FileRange range = {}, sound_range = {};   // where they are members of an archive
  bool audio = true, video = true;          // of a clip: the sides that are wanted
  double start = 0.0, seconds = 0.0;        // of sound, picture and clip
  int64_t sample_rate_hz = 16000;           // of sound
  ChannelMix channels = ChannelMix::first;  // of sound
  std::optional<int64_t> audio_track = {};  // see MediaChoice
  bool exif = true;                         // see MediaChoice
  std::vector<double> times = {};           // of squares; empty: the file is a single picture
  int64_t size_px = 0;                      // side of squares; of a picture or clip, the most width
  double max_media_seconds = 0.0;           // longer files are refused; 0: any length
  int64_t max_pixels = 0;                   // larger pictures are refused
  double time_limit_seconds = 30.0;

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("kind", o.kind, "");
    v("name", o.name, "");
    v("sound_name", o.sound_name, "");
    v("range", o.range, "");
    v("sound_range", o.sound_range, "");
    v("audio", o.audio, "");
    v("video", o.video, "");
    v("start", o.start, "");
    v("seconds", o.seconds, "");
    v("sample_rate_hz", o.sample_rate_hz, "");
    v("channels", o.channels, "");
    v("audio_track", o.audio_track, "");
    v("exif", o.exif, "");
    v("times", o.times, "");
    v("size_px", o.size_px, "");
    v("max_media_seconds", o.max_media_seconds, "");
    v("max_pixels", o.max_pixels, "");
    v("time_limit_seconds", o.time_limit_seconds, "");
  }
};

struct DecodeAnswer {
  std::string error = {};  // why the file could not be decoded; else empty
  // Of a probe: has_audio, has_video, is_picture, the lengths and what does not grow with the file of the
  // times; the rest is left as it is.
  MediaInfo info = {};
  std::vector<float> waveform = {};
  bool has_gaps = false;  // of the waveform, see read_audio()
  std::vector<Picture> pictures = {};
  std::string bytes = {};         // of a picture or clip
  std::string content_type = {};  // of the bytes: "video/webm"
  std::string freedoms = {};      // what the process could do although it must not; empty: nothing
};

// What one side sends: a message with up to 2 descriptors. The receiver owns what it gets. All throw Error
// when the other side has gone, breaks the protocol, or past `deadline_seconds` (0: no limit).
constexpr size_t kMaxAnswerBytes = size_t{256} * 1024 * 1024;

void send_job(int socket, const DecodeJob& job, const std::vector<int>& descriptors);
struct ReceivedJob {
  DecodeJob job;
  std::vector<int> descriptors;
};
// Nothing when the other side has closed.
std::optional<ReceivedJob> receive_job(int socket);

void send_answer(int socket, const DecodeAnswer& answer);
DecodeAnswer receive_answer(int socket, double deadline_seconds);

}  // namespace cavmae
