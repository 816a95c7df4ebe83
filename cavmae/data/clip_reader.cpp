#include "cavmae/data/clip_reader.h"

#include <algorithm>
#include <numeric>

#include "cavmae/core/error.h"
#include "cavmae/core/random.h"
#include "cavmae/data/cached_decoder.h"
#include "cavmae/data/draws.h"
#include "cavmae/data/window.h"
#include "cavmae/features/augment.h"
#include "cavmae/features/fbank.h"
#include "cavmae/features/image_transform.h"
#include "cavmae/features/mixup.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

// The order of the authors' code: masks on the padded filterbank as it is, then mean and deviation, noise,
// roll. fbank: float [t, F], changed.
torch::Tensor finish_audio(torch::Tensor fbank, const InputSpec& spec, const ViewOptions& view,
                           uint64_t seed) {
  if (view.frequency_mask > 0 || view.time_mask > 0) {
    Random masks = random_for(seed, Draw::masks);
    fbank = fit_frames(fbank, spec.num_fbank_frames);
    if (view.frequency_mask > 0) mask_frequencies(fbank, view.frequency_mask, masks);
    if (view.time_mask > 0) mask_times(fbank, view.time_mask, masks);
  }
  Random noise = random_for(seed, Draw::noise), roll = random_for(seed, Draw::roll);
  return finish_fbank(fbank, {.num_frames = spec.num_fbank_frames,
                              .mean = spec.fbank_mean,
                              .std = spec.fbank_std,
                              .noise = view.noise ? &noise : nullptr,
                              .roll = view.roll ? &roll : nullptr});
}

}  // namespace

bool ViewOptions::is_deterministic() const {
  return !random_window && frames != FrameChoice::random && !noise && !roll && frequency_mask == 0 &&
         time_mask == 0;
}

ViewOptions training_view() {
  return {.random_window = true,
          .window_start = std::nullopt,
          .frames = FrameChoice::random,
          .noise = true,
          .roll = true,
          .frequency_mask = 0,
          .time_mask = 0};
}

struct ClipReader::State {
  InputSpec spec;
  CachedDecoder decoder;

  // A side of the clip that is read; `path` is what has its sound or its video.
  struct Side {
    bool wanted = false;
    FileFacts facts;
  };

  Side audio_side(const ClipSource& clip, Need need) const;
  Side video_side(const ClipSource& clip, Need need, const Side& audio) const;
  ClipWindow window(const ClipSource& clip, const ViewOptions& view, const Side& audio, const Side& video,
                    uint64_t seed) const;

  // What is to be read of a clip, and from where in its files.
  struct Place {
    Side audio, video;
    ClipWindow window;
  };
  Place place(const ClipSource& clip, const ViewOptions& view, Need need, uint64_t seed) const;

  torch::Tensor video(const ClipSource& clip, const FileFacts& facts, const ClipWindow& window,
                      const ViewOptions& view, uint64_t seed) const;
};

ClipReader::State::Side ClipReader::State::audio_side(const ClipSource& clip, Need need) const {
  Side side;
  if (need == Need::video) return side;
  const bool required = need != Need::any;
  if (clip.audio.empty()) {
    CAVMAE_CHECK_AS(MediaError, !required, clip.frames.empty() ? clip.video : clip.frames[0],
                    ": has no audio and its list names none; give 'audio' in a manifest or leave it out");
    return side;
  }
  side.facts = decoder.facts(clip.audio);
  CAVMAE_CHECK_AS(MediaError, side.facts.has_audio || !required, clip.audio, ": has no audio");
  side.wanted = side.facts.has_audio;
  return side;
}

ClipReader::State::Side ClipReader::State::video_side(const ClipSource& clip, Need need,
                                                      const Side& audio) const {
  Side side;
  if (need == Need::audio) return side;
  const bool required = need != Need::any;
  if (!clip.frames.empty()) {
    side.facts = {.has_audio = false, .has_video = true, .is_picture = true, .duration_seconds = 0.0};
  } else if (!clip.video.empty()) {
    const bool already_known = clip.video == clip.audio && need != Need::video;
    side.facts = already_known ? audio.facts : decoder.facts(clip.video);
  }
  CAVMAE_CHECK_AS(MediaError, side.facts.has_video || !required, clip.video.empty() ? clip.audio : clip.video,
                  ": has no video");
  side.wanted = side.facts.has_video;
  return side;
}

ClipWindow ClipReader::State::window(const ClipSource& clip, const ViewOptions& view, const Side& audio,
                                     const Side& video, uint64_t seed) const {
  // Sound and video of separate files are taken to begin together; the window lies within both.
  double shortest = 0.0;
  for (const Side* side : {&audio, &video}) {
    const double duration = side->wanted ? side->facts.duration_seconds : 0.0;
    if (duration > 0) shortest = shortest > 0 ? std::min(shortest, duration) : duration;
  }
  const WindowPlace anywhere = decoder.has_cache() ? WindowPlace::random_of_few : WindowPlace::random;
  // A file that ends before the segment would is that segment, cut out.
  constexpr double kTolerance = 1.0;
  const bool is_cut_out = clip.end_seconds && shortest > 0 && shortest < *clip.end_seconds - kTolerance;
  const std::optional<double> listed_start = is_cut_out ? std::nullopt : clip.start_seconds;
  Random random = random_for(seed, Draw::window);
  try {
    return choose_window({.file_seconds = shortest,
                          .window_seconds = spec.window_seconds,
                          .place = view.random_window ? anywhere : WindowPlace::middle,
                          .pinned_start = view.window_start ? view.window_start : listed_start},
                         random);
  } catch (const MediaError& e) {
    throw MediaError(concat(audio.wanted ? clip.audio : clip.video, ": ", e.what()));
  }
}

ClipReader::State::Place ClipReader::State::place(const ClipSource& clip, const ViewOptions& view, Need need,
                                                  uint64_t seed) const {
  Place place{.audio = audio_side(clip, need), .video = {}, .window = {}};
  place.video = video_side(clip, need, place.audio);
  CAVMAE_CHECK_AS(MediaError, place.audio.wanted || place.video.wanted,
                  clip.audio.empty() ? clip.video : clip.audio, ": has neither audio nor video");
  place.window = window(clip, view, place.audio, place.video, seed);
  return place;
}

torch::Tensor ClipReader::State::video(const ClipSource& clip, const FileFacts& facts,
                                       const ClipWindow& window, const ViewOptions& view,
                                       uint64_t seed) const {
  const int64_t num_frames = spec.num_frames, num = decoder.num_pictures(clip, facts);
  if (view.frames == FrameChoice::all) {
    std::vector<int64_t> all(num);
    std::iota(all.begin(), all.end(), 0);
    std::vector<torch::Tensor> distinct, frames;
    for (const torch::Tensor& picture : decoder.pictures(clip, facts, window, all))
      distinct.push_back(normalize_image(picture));
    for (int64_t i = 0; i < num_frames; ++i) frames.push_back(distinct[i * num / num_frames]);
    return at::stack(frames);
  }
  Random random = random_for(seed, Draw::frame);
  const int64_t frame =
      view.frames == FrameChoice::random ? random.integer(0, num_frames - 1) : num_frames / 2;
  return normalize_image(decoder.pictures(clip, facts, window, {frame * num / num_frames}).front());
}

ClipReader::ClipReader(const InputSpec& spec, const fs::path& cache_dir, std::shared_ptr<Log> log) {
  spec.validate();
  state_.reset(new State{.spec = spec, .decoder = CachedDecoder(spec, cache_dir, std::move(log))});
}

ClipReader::~ClipReader() = default;

const InputSpec& ClipReader::spec() const {
  return state_->spec;
}

Sample ClipReader::read(const ClipSource& clip, const ViewOptions& view, Need need, uint64_t seed) const {
  const auto place = state_->place(clip, view, need, seed);
  Sample sample;
  if (place.audio.wanted)
    sample.audio = finish_audio(state_->decoder.fbank(clip.audio, place.window), state_->spec, view, seed);
  if (place.video.wanted) sample.video = state_->video(clip, place.video.facts, place.window, view, seed);
  return sample;
}

RawClip ClipReader::read_raw(const ClipSource& clip, const ViewOptions& view, Need need,
                             uint64_t seed) const {
  const auto place = state_->place(clip, view, need, seed);
  RawClip raw;
  if (place.audio.wanted) raw.waveform = state_->decoder.waveform(clip.audio, place.window);
  if (place.video.wanted) raw.video = state_->video(clip, place.video.facts, place.window, view, seed);
  return raw;
}

Sample ClipReader::finish(const RawClip& clip, const ViewOptions& view, uint64_t seed) const {
  Sample sample;
  if (clip.waveform.defined())
    sample.audio = finish_audio(state_->decoder.fbank(clip.waveform), state_->spec, view, seed);
  sample.video = clip.video;
  return sample;
}

RawClip mix_clips(const RawClip& first, const RawClip& second, double first_share) {
  RawClip mix;
  if (first.waveform.defined()) mix.waveform = mix_waveforms(first.waveform, second.waveform, first_share);
  if (first.video.defined()) mix.video = mix_pictures(first.video, second.video, first_share);
  return mix;
}

}  // namespace cavmae
