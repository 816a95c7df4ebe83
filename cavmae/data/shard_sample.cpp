#include "cavmae/data/shard_sample.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cavmae/core/error.h"
#include "cavmae/core/random.h"
#include "cavmae/data/window.h"
#include "cavmae/media/image_writer.h"
#include "cavmae/media/media_reader.h"
#include "cavmae/picture/resize.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

std::string extension_of(const MediaSource& source) {
  const std::string extension = fs::path(source.name()).extension().string();
  return extension.size() > 1 ? extension : ".media";
}

// Throws where there is nothing to copy.
MemberToWrite copied(const MediaSource& source, const std::string& extension) {
  source.open();
  return {.extension = extension, .bytes = source};
}

Json facts_of(const ClipSource& clip) {
  Json facts = {{"id", clip.id}};
  if (!clip.labels.empty()) facts["labels"] = clip.labels;
  return facts;
}

void put(std::string& bytes, uint32_t value, int count) {
  for (int i = 0; i < count; ++i) bytes += static_cast<char>(value >> (8 * i));
}

// A picture at each of the times, or of those that the clip's list names.
std::vector<Picture> pictures_of(const ClipSource& clip, const ClipWindow& window, int64_t count) {
  std::vector<Picture> pictures;
  const auto listed = static_cast<int64_t>(clip.frames.size());
  for (int64_t i = 0; i < std::min(count, listed); ++i)
    pictures.push_back(read_image(clip.frames[i * listed / std::min(count, listed)]));
  if (listed > 0) return pictures;
  if (probe_media(clip.video).is_picture) return {read_image(clip.video)};
  std::vector<double> times;
  for (int64_t i = 0; i < count; ++i)
    times.push_back(window.start_seconds +
                    window.length_seconds * static_cast<double>(i) / static_cast<double>(count));
  return read_frames(clip.video, times);
}

}  // namespace

std::string encode_wav(std::span<const float> waveform, int64_t sample_rate_hz) {
  constexpr uint32_t kHeaderBytes = 36, kBytesASample = 2;
  const auto data_bytes = static_cast<uint32_t>(waveform.size()) * kBytesASample;
  const auto rate = static_cast<uint32_t>(sample_rate_hz);
  std::string bytes = "RIFF";
  put(bytes, kHeaderBytes + data_bytes, 4);
  bytes += "WAVEfmt ";
  put(bytes, 16, 4);  // bytes of what describes the format
  put(bytes, 1, 2);   // PCM
  put(bytes, 1, 2);   // channel
  put(bytes, rate, 4);
  put(bytes, rate * kBytesASample, 4);
  put(bytes, kBytesASample, 2);
  put(bytes, 8 * kBytesASample, 2);
  bytes += "data";
  put(bytes, data_bytes, 4);
  for (const float sample : waveform) {
    const float level = std::clamp(std::nearbyint(sample * 32768.0f), -32768.0f, 32767.0f);
    put(bytes, static_cast<uint32_t>(static_cast<int32_t>(level)), kBytesASample);
  }
  return bytes;
}

SampleToWrite sample_of_files(const ClipSource& clip) {
  SampleToWrite sample{.members = {}, .facts = facts_of(clip)};
  const auto add = [&](const MediaSource& source, std::string extension) {
    sample.members.push_back(copied(source, extension));
    return extension;
  };
  if (!clip.audio.empty() && clip.audio == clip.video) {
    sample.facts["path"] = add(clip.audio, extension_of(clip.audio));
  } else {
    if (!clip.audio.empty()) sample.facts["audio"] = add(clip.audio, extension_of(clip.audio));
    const std::string taken = clip.audio.empty() ? "" : extension_of(clip.audio);
    if (!clip.video.empty()) {
      const std::string extension = extension_of(clip.video);
      sample.facts["image"] = add(clip.video, extension == taken ? ".image" + extension : extension);
    }
    if (!clip.frames.empty()) sample.facts["frames"] = Json::array();
    for (size_t i = 0; i < clip.frames.size(); ++i)
      sample.facts["frames"].push_back(add(clip.frames[i], concat(".", i, extension_of(clip.frames[i]))));
  }
  if (clip.start_seconds) sample.facts["start_seconds"] = *clip.start_seconds;
  if (clip.end_seconds) sample.facts["end_seconds"] = *clip.end_seconds;
  return sample;
}

SampleToWrite prepared_sample(const ClipSource& clip, const ClipReader& reader, const PreparedPictures& how) {
  SampleToWrite sample{.members = {}, .facts = facts_of(clip)};
  const bool has_pictures = !clip.video.empty() || !clip.frames.empty();
  const Need need = clip.audio.empty() ? Need::video : has_pictures ? Need::any : Need::audio;
  const ReadPlace place = reader.place(clip, need);
  if (place.has_audio) {
    const std::vector<float> waveform = read_audio(clip.audio, {.start_seconds = place.window.start_seconds,
                                                                .duration_seconds = how.window_seconds,
                                                                .sample_rate_hz = how.sample_rate_hz});
    sample.members.push_back({.extension = ".wav", .bytes = encode_wav(waveform, how.sample_rate_hz)});
    sample.facts["audio"] = ".wav";
  }
  if (!place.has_video) return sample;
  sample.facts["frames"] = Json::array();
  for (const Picture& picture : pictures_of(clip, place.window, how.num_frames)) {
    const std::string extension = concat(".", sample.facts["frames"].size(), ".jpg");
    sample.members.push_back(
        {.extension = extension,
         .bytes = encode_jpeg(resize_shorter_side(picture, how.shorter_side_px), how.jpeg_quality)});
    sample.facts["frames"].push_back(extension);
  }
  return sample;
}

}  // namespace cavmae
