#include "cavmae/media/audio_seeking.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string_view>

namespace cavmae {
namespace {

// Codecs in which any packet decodes to the same samples wherever decoding began, after the preroll.
constexpr std::array kIndependentOfWhatLiesBefore = {
    AV_CODEC_ID_AAC,  AV_CODEC_ID_MP3,  AV_CODEC_ID_MP2,  AV_CODEC_ID_MP1,    AV_CODEC_ID_AC3,
    AV_CODEC_ID_EAC3, AV_CODEC_ID_OPUS, AV_CODEC_ID_FLAC, AV_CODEC_ID_VORBIS, AV_CODEC_ID_ALAC};

bool is_pcm(AVCodecID codec) {
  return codec >= AV_CODEC_ID_FIRST_AUDIO && codec < AV_CODEC_ID_ADPCM_IMA_QT;
}

template <size_t N>
bool contains(const std::array<AVCodecID, N>& codecs, AVCodecID codec) {
  return std::find(codecs.begin(), codecs.end(), codec) != codecs.end();
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Containers whose packets bear a place that a seek finds: an index of all packets (MP4), timestamps of each
// (Matroska; to the millisecond, see Note [Sample clock]), or the number of a sample (FLAC, Ogg).
bool finds_packets(std::string_view container) {
  return is_one_of(container, {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "flac", "ogg"});
}

// Containers that hold nothing but samples: the place in bytes is the rate times the size of a sample.
bool finds_bytes(std::string_view container, const AVCodecParameters& codec) {
  const int64_t sample_bits = int64_t{av_get_bits_per_sample(codec.codec_id)} * codec.ch_layout.nb_channels;
  return is_one_of(container, {"wav", "w64", "aiff", "au", "caf"}) && sample_bits > 0 &&
         codec.block_align * int64_t{8} == sample_bits && codec.bit_rate == sample_bits * codec.sample_rate;
}

}  // namespace

bool has_constant_frames(AVCodecID codec) {
  constexpr std::array kConstant = {AV_CODEC_ID_AAC, AV_CODEC_ID_MP3,  AV_CODEC_ID_MP2, AV_CODEC_ID_MP1,
                                    AV_CODEC_ID_AC3, AV_CODEC_ID_EAC3, AV_CODEC_ID_OPUS};
  return contains(kConstant, codec);
}

bool can_be_counted(AVCodecID codec) {
  // Opus's packets may differ in length, and a decoder that starts anew holds some of the first one back.
  return has_constant_frames(codec) && codec != AV_CODEC_ID_OPUS;
}

SoundSkip sound_skip(const AVInputFormat& container, const AVStream& stream) {
  const AVCodecParameters& codec = *stream.codecpar;
  if (is_pcm(codec.codec_id)) {
    const bool in_movie = is_one_of(container.name, {"mov,mp4,m4a,3gp,3g2,mj2"});
    return in_movie || finds_bytes(container.name, codec) ? SoundSkip::seek : SoundSkip::decode;
  }
  if (!contains(kIndependentOfWhatLiesBefore, codec.codec_id)) return SoundSkip::decode;
  if (finds_packets(container.name)) return SoundSkip::seek;
  return can_be_counted(codec.codec_id) ? SoundSkip::count : SoundSkip::decode;
}

}  // namespace cavmae
