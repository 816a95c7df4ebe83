// What cavmae-decode is asked and what it answers, and how both travel through its socket. Plain values and
// free functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/features/input_spec.h"

namespace cavmae {

// features:    a window as the network takes it
// picture:     one picture, as JPEG
// spectrogram: the filterbank of a stretch of the sound
// clip:        a stretch as a browser plays it: WebM (VP8, Opus), or Ogg (Opus) where there is sound alone
// confinement: what the process can still do, see DecodeAnswer::freedoms
enum class DecodeKind { features, picture, spectrogram, clip, confinement };
inline std::vector<std::pair<DecodeKind, std::string>> option_names(DecodeKind) {
  return {{DecodeKind::features, "features"},
          {DecodeKind::picture, "picture"},
          {DecodeKind::spectrogram, "spectrogram"},
          {DecodeKind::clip, "clip"},
          {DecodeKind::confinement, "confinement"}};
}

struct DecodeJob {
  DecodeKind kind = DecodeKind::features;
  std::string name;                  // of the file, for errors and its extension
  std::string sound_name = {};       // of the sound, where it is a file of its own; else empty
  bool audio = true, video = true;   // the sides that are wanted
  std::optional<double> start = {};  // seconds; of features: nothing is the middle
  double seconds = 0.0;              // length of a spectrogram or clip
  int64_t width_px = 0;              // of a picture or clip, at the most
  InputSpec spec = {};               // of features and spectrograms
  double max_media_seconds = 0.0;    // longer files are refused; 0: any length
  int64_t max_pixels = 0;            // larger pictures are refused
  double time_limit_seconds = 30.0;

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("kind", o.kind, "");
    v("name", o.name, "");
    v("sound_name", o.sound_name, "");
    v("audio", o.audio, "");
    v("video", o.video, "");
    v("start", o.start, "");
    v("seconds", o.seconds, "");
    v("width_px", o.width_px, "");
    v("spec", o.spec, "");
    v("max_media_seconds", o.max_media_seconds, "");
    v("max_pixels", o.max_pixels, "");
    v("time_limit_seconds", o.time_limit_seconds, "");
  }
};

struct DecodeAnswer {
  std::string error = {};  // why the file could not be decoded; else empty
  torch::Tensor audio = {},
                video = {};       // float: features, of a spectrogram `audio` is [T, F]; undefined: none
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
