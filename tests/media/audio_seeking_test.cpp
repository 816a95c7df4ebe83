// Seeking in sound: a window of a file is the same part of the whole, for every codec in every container that
// takes it. docs/sound.md lists how each pair is read; the list is checked here too.
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/media/audio_reader.h"

#include "tests/media/media_files.h"
#include "tests/support/media_tensors.h"

namespace cavmae {
namespace {

using testing_media::MediaFiles;

// Muxers that take many codecs. Each is given all of them.
const std::vector<std::string> kMuxers = {
    "wav",  "w64",  "aiff", "au",  "caf", "mov", "mp4",  "ipod", "3gp",   "f4v",    "ismv", "matroska",
    "webm", "avi",  "asf",  "flv", "nut", "ogg", "mpeg", "vob",  "svcd",  "mpegts", "mp3",  "adts",
    "latm", "flac", "tta",  "wv",  "voc", "rm",  "wtv",  "oma",  "ircam", "opus",   "spx",  "smjpeg"};
// The same with moving pictures beside the sound, which decide where such a file can be entered.
const std::vector<std::string> kMpeg4Muxers = {"mov", "mp4", "matroska", "avi", "asf", "nut", "mpegts"};
const std::vector<std::string> kMpeg1Muxers = {"mpeg", "vob"};

// Of what differs between a window and the same part of the whole, as a share of the sound's level.
constexpr double kSame = 1e-6;
constexpr double kDither = 1e-3;  // MP2: the decoder shapes its rounding errors with those before
constexpr double kNoiseFill =
    0.04;                       // AC-3: the decoder fills what has no bits with noise that goes on and on
constexpr double kNoise = 0.2;  // AAC: whole bands are such noise (perceptual noise substitution)

struct Coding {
  std::string codec;    // as FFmpeg names what it reads
  std::string encoder;  // with its arguments
  int rate_hz = 16000;
  double tolerance = kSame;
  std::string own_muxer = "";  // that takes nothing else
  bool with_pictures = false;  // tried beside moving pictures as well
};

const std::vector<Coding> kCodings = {
    {.codec = "pcm_s16le", .encoder = "pcm_s16le", .with_pictures = true},
    {.codec = "pcm_s16be", .encoder = "pcm_s16be", .rate_hz = 44100},
    {.codec = "pcm_s24le", .encoder = "pcm_s24le", .rate_hz = 48000},
    {.codec = "pcm_f32le", .encoder = "pcm_f32le"},
    {.codec = "pcm_u8", .encoder = "pcm_u8"},
    {.codec = "pcm_s8", .encoder = "pcm_s8"},
    {.codec = "pcm_alaw", .encoder = "pcm_alaw", .rate_hz = 8000},
    {.codec = "pcm_mulaw", .encoder = "pcm_mulaw", .rate_hz = 8000},
    {.codec = "adpcm_ima_wav", .encoder = "adpcm_ima_wav", .with_pictures = true},
    {.codec = "adpcm_ms", .encoder = "adpcm_ms", .with_pictures = true},
    {.codec = "adpcm_ima_qt", .encoder = "adpcm_ima_qt"},
    {.codec = "adpcm_yamaha", .encoder = "adpcm_yamaha"},
    {.codec = "adpcm_swf", .encoder = "adpcm_swf", .rate_hz = 22050},
    {.codec = "adpcm_adx", .encoder = "adpcm_adx", .own_muxer = "adx"},
    {.codec = "adpcm_g722", .encoder = "g722", .own_muxer = "g722"},
    {.codec = "adpcm_g726", .encoder = "g726", .rate_hz = 8000},
    {.codec = "adpcm_g726le", .encoder = "g726le", .rate_hz = 8000},
    {.codec = "aac", .encoder = "aac -b:a 96k", .rate_hz = 44100, .tolerance = kNoise, .with_pictures = true},
    {.codec = "mp3", .encoder = "libmp3lame -q:a 4", .rate_hz = 44100, .with_pictures = true},
    {.codec = "mp2",
     .encoder = "libtwolame",
     .rate_hz = 48000,
     .tolerance = kDither,
     .own_muxer = "mp2",
     .with_pictures = true},
    {.codec = "ac3",
     .encoder = "ac3",
     .rate_hz = 48000,
     .tolerance = kNoiseFill,
     .own_muxer = "ac3",
     .with_pictures = true},
    {.codec = "eac3", .encoder = "eac3", .rate_hz = 48000, .tolerance = kNoiseFill, .own_muxer = "eac3"},
    {.codec = "flac", .encoder = "flac", .rate_hz = 44100, .with_pictures = true},
    {.codec = "alac", .encoder = "alac", .with_pictures = true},
    {.codec = "tta", .encoder = "tta"},
    {.codec = "wavpack", .encoder = "wavpack"},
    {.codec = "vorbis", .encoder = "libvorbis", .rate_hz = 44100, .with_pictures = true},
    {.codec = "opus", .encoder = "libopus", .rate_hz = 48000, .with_pictures = true},
    {.codec = "speex", .encoder = "libspeex"},
    {.codec = "gsm", .encoder = "libgsm", .rate_hz = 8000, .own_muxer = "gsm"},
    {.codec = "gsm_ms", .encoder = "libgsm_ms", .rate_hz = 8000},
    {.codec = "g723_1", .encoder = "g723_1 -b:a 6.3k", .rate_hz = 8000, .own_muxer = "g723_1"},
    {.codec = "wmav1", .encoder = "wmav1", .rate_hz = 22050},
    {.codec = "wmav2", .encoder = "wmav2", .rate_hz = 22050, .with_pictures = true},
    {.codec = "nellymoser", .encoder = "nellymoser"},
    {.codec = "ra_144", .encoder = "real_144", .rate_hz = 8000},
    {.codec = "dts", .encoder = "dca -ac 2", .rate_hz = 48000, .own_muxer = "dts"},
    {.codec = "truehd", .encoder = "truehd -ac 2", .rate_hz = 48000, .own_muxer = "truehd"},
    {.codec = "sbc", .encoder = "sbc", .own_muxer = "sbc"},
    {.codec = "dfpwm", .encoder = "dfpwm", .own_muxer = "dfpwm"}};

// How a codec is passed over in each container: "seek", "count" or "start".
using Ways = std::map<std::string, std::string>;

class AudioSeeking : public MediaFiles {
 protected:
  // Files of the coding by muxer, all that FFmpeg makes.
  std::map<std::string, std::filesystem::path> encode(const Coding& coding) const;
  std::map<std::string, Ways> listed() const;
  void compare(const Coding& coding, Ways& found) const;
};

// Encodes once for all muxers and lets those fail that refuse the codec.
std::map<std::string, std::filesystem::path> AudioSeeking::encode(const Coding& coding) const {
  std::filesystem::create_directories(at(coding.codec));
  std::map<std::string, std::filesystem::path> files;
  const auto add = [&](const std::vector<std::string>& names, const std::string& pictures,
                       const std::string& mark) {
    std::string outputs;
    for (const std::string& muxer : names) {
      const std::string file = coding.codec + "/" + muxer + mark + "." + muxer;
      outputs += (outputs.empty() ? "" : "|") + concat("[f=", muxer, ":onfail=ignore]", file);
      files[muxer + mark] = at(file);
    }
    // Not ffmpeg() of the fixture, which has one log. It fails when no muxer takes the codec.
    const std::string command =
        concat("cd '", folder_.string(), "' && ffmpeg -nostdin -v quiet -y -threads 1 -i source.wav ",
               pictures, " -map 0:a -strict -2 -flags +global_header -ac 1 -ar ", coding.rate_hz,
               " -c:v copy -c:a ", coding.encoder, " -f tee '", outputs, "' > /dev/null 2>&1");
    return std::system(command.c_str()) == 0;
  };
  std::vector<std::string> sound_alone = kMuxers;
  if (!coding.own_muxer.empty()) sound_alone.push_back(coding.own_muxer);
  EXPECT_TRUE(add(sound_alone, "", "")) << coding.codec;
  if (coding.with_pictures) add(kMpeg4Muxers, "-i mpeg4.nut -map 1:v", "+video");
  if (coding.with_pictures) add(kMpeg1Muxers, "-i mpeg1.nut -map 1:v", "+video");
  std::erase_if(files, [](const auto& file) {
    std::error_code none;
    return std::filesystem::file_size(file.second, none) < 2000 || none;
  });
  return files;
}

// Whether FFmpeg reads back what it wrote: some muxers take what their demuxers do not know.
bool is_read_back(const std::filesystem::path& path, const Coding& coding, torch::Tensor& whole) {
  try {
    if (probe_media(path).audio_codec != coding.codec) return false;
    AudioStats stats;
    whole = to_tensor(read_audio(path, {.duration_seconds = 60.0}, stats, SoundSkip::decode));
  } catch (const MediaError&) {
    return false;
  }
  return std::abs(static_cast<double>(whole.numel()) / 16000.0 - 40.0) < 0.5;
}

void AudioSeeking::compare(const Coding& coding, Ways& found) const {
  for (const auto& [muxer, path] : encode(coding)) {
    torch::Tensor whole;
    if (!is_read_back(path, coding, whole)) continue;
    const double level = whole.square().mean().sqrt().item<double>();
    AudioStats stats;
    for (const double start : {3.0, 15.0, 29.0}) {
      const torch::Tensor window =
          to_tensor(read_audio(path, {.start_seconds = start, .duration_seconds = 1.0}, stats));
      const auto first = static_cast<int64_t>(start * 16000);
      ASSERT_EQ(window.numel(), 16000);
      const torch::Tensor error = window - whole.slice(0, first, first + 16000);
      EXPECT_LE(error.square().mean().sqrt().item<double>(), coding.tolerance * level)
          << coding.codec << " in " << muxer << " at " << start << " s";
    }
    found[muxer] = stats.seeks > 0 ? "seek" : stats.counted > 0 ? "count" : "start";
    std::filesystem::remove(path);
  }
}

// The table of docs/sound.md: codec, then the containers by the way.
std::map<std::string, Ways> AudioSeeking::listed() const {
  std::map<std::string, Ways> list;
  std::istringstream lines(read_text(CAVMAE_SOURCE_DIR "/docs/sound.md"));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| `")) continue;
    std::istringstream cells(line.substr(1));
    std::string codec, cell;
    std::getline(cells, codec, '|');
    codec = codec.substr(2, codec.rfind('`') - 2);
    for (const std::string way : {"seek", "count", "start"}) {
      std::getline(cells, cell, '|');
      std::istringstream names(cell);
      for (std::string name; names >> name;)
        if (name != "-") list[codec][name] = way;
    }
  }
  return list;
}

std::string row_of(const std::string& codec, const Ways& ways) {
  std::string row = "| `" + codec + "` |";
  for (const std::string way : {"seek", "count", "start"}) {
    std::string names;
    for (const auto& [muxer, found] : ways)
      if (found == way) names += " " + muxer;
    row += (names.empty() ? " -" : names) + " |";
  }
  return row;
}

TEST_F(AudioSeeking, AWindowOfEveryCodecInEveryContainerIsASliceOfTheWhole) {
  write_wav("source.wav", 48000, 40.0);
  ffmpeg("-f lavfi -i testsrc=s=64x64:r=25:d=40 -c:v mpeg4 mpeg4.nut");
  ffmpeg("-f lavfi -i testsrc=s=64x64:r=25:d=40 -c:v mpeg1video mpeg1.nut");
  std::map<std::string, Ways> found;
  for (const Coding& coding : kCodings) found[coding.codec];  // so that threads change none but their own
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < kCodings.size(); i = next++)
      compare(kCodings[i], found.at(kCodings[i].codec));
  };
  std::thread second(work);
  work();
  second.join();

  const auto list = listed();
  std::set<std::string> codecs, containers;
  size_t num_pairs = 0;
  for (const auto& [codec, ways] : found) {
    if (!ways.empty()) codecs.insert(codec);
    num_pairs += ways.size();
    for (const auto& [muxer, way] : ways) {
      containers.insert(muxer.substr(0, muxer.find('+')));
      const auto row = list.find(codec);
      const bool is_listed = row != list.end() && row->second.contains(muxer) && row->second.at(muxer) == way;
      EXPECT_TRUE(is_listed) << "docs/sound.md should say\n" << row_of(codec, ways);
      if (!is_listed) break;
    }
  }
  EXPECT_GE(codecs.size(), 25u);
  EXPECT_GE(containers.size(), 20u);
  EXPECT_GE(num_pairs, 250u);
}

}  // namespace
}  // namespace cavmae
