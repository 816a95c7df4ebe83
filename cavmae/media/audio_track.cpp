#include "cavmae/media/audio_track.h"

#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/media/programme.h"

namespace cavmae {
namespace {

std::vector<AVStream*> tracks_of(const AVFormatContext& context) {
  std::vector<AVStream*> tracks;
  for (unsigned i = 0; i < context.nb_streams; ++i)
    if (context.streams[i]->codecpar->codec_type == AVMEDIA_TYPE_AUDIO) tracks.push_back(context.streams[i]);
  return tracks;
}

bool has_decoder(const AVStream& stream) {
  return avcodec_find_decoder(stream.codecpar->codec_id) != nullptr && stream.codecpar->sample_rate > 0;
}

// Whether the decoder takes the stream's parameters as well: there are profiles that FFmpeg knows by name
// alone (xHE-AAC).
bool decoder_opens(const AVStream& stream) {
  if (!has_decoder(stream)) return false;
  const AVCodec* codec = avcodec_find_decoder(stream.codecpar->codec_id);
  const auto decoder = ffmpeg::make_codec_context(codec);
  return avcodec_parameters_to_context(decoder.get(), stream.codecpar) >= 0 &&
         avcodec_open2(decoder.get(), codec, nullptr) >= 0;
}

}  // namespace

AVStream* choose_audio_stream(AVFormatContext& context, std::optional<int64_t> track, const AVStream* video) {
  const std::vector<AVStream*> tracks = tracks_of(context);
  if (track) {
    const bool there = *track >= 0 && *track < static_cast<int64_t>(tracks.size());
    AVStream* chosen = there ? tracks[*track] : nullptr;
    return chosen != nullptr && has_decoder(*chosen) ? chosen : nullptr;
  }
  const auto belongs = [&](const AVStream& stream) {
    return video == nullptr || share_programme(context, stream, *video);
  };
  const int related = video != nullptr ? video->index : -1;
  const int best = av_find_best_stream(&context, AVMEDIA_TYPE_AUDIO, -1, related, nullptr, 0);
  AVStream* chosen = best >= 0 ? context.streams[best] : nullptr;
  // With a single track the decoder itself says what is wrong, when it is opened to be used.
  if (chosen != nullptr && belongs(*chosen) && has_decoder(*chosen) &&
      (tracks.size() == 1 || decoder_opens(*chosen)))
    return chosen;
  for (AVStream* stream : tracks)
    if (stream != chosen && belongs(*stream) && decoder_opens(*stream)) return stream;
  return nullptr;
}

int64_t num_audio_tracks(const AVFormatContext& context) {
  return static_cast<int64_t>(tracks_of(context).size());
}

int64_t audio_track_number(const AVFormatContext& context, const AVStream& stream) {
  int64_t number = 0;
  for (const AVStream* track : tracks_of(context)) {
    if (track->index == stream.index) return number;
    ++number;
  }
  return 0;
}

std::string why_no_audio(const AVFormatContext& context, std::optional<int64_t> track) {
  const std::vector<AVStream*> tracks = tracks_of(context);
  const auto count = static_cast<int64_t>(tracks.size());
  if (count == 0) return "has no audio";
  const std::string tracks_text = count == 1 ? "1 sound track" : concat(count, " sound tracks");
  if (track && (*track < 0 || *track >= count))
    return concat("has ", tracks_text, ", so there is no track ", *track, "; tracks are counted from 0");
  if (track)
    return concat("has its sound track ", *track, " coded as ", ffmpeg::codec_name(*tracks[*track]),
                  ", which this FFmpeg cannot decode; choose another track or convert it");
  std::string codecs;
  for (const AVStream* stream : tracks) codecs += (codecs.empty() ? "" : ", ") + ffmpeg::codec_name(*stream);
  return concat("has ", tracks_text, " that this FFmpeg cannot decode (", codecs,
                "); convert the sound to AAC, FLAC or WAV");
}

}  // namespace cavmae
