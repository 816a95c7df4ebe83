#include "cavmae/data/clip_reader.h"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <optional>
#include <tuple>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/random.h"
#include "cavmae/data/cached_decoder.h"
#include "cavmae/data/draws.h"
#include "cavmae/data/opened_clip.h"
#include "cavmae/data/window.h"
#include "cavmae/features/fbank.h"
#include "cavmae/features/image_transform.h"
#include "cavmae/features/mixup.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

// Sound that begins a little before the pictures, or after them, begins with them.
constexpr double kTogetherSeconds = 0.2;

}  // namespace

struct ClipReader::State {
  InputSpec spec;
  CachedDecoder decoder;
  std::shared_ptr<Log> log;  // may be null
  mutable std::atomic<bool> told_of_few_pictures = false;

  // A side of the clip that is read; `path` is what has its sound or its video.
  struct Side {
    bool wanted = false;
    FileFacts facts;
  };

  // `opened` may be nullptr, here and below.
  FileFacts facts(const MediaSource& source, OpenedClip* opened) const;
  Side audio_side(const ClipSource& clip, Need need, OpenedClip* opened) const;
  Side video_side(const ClipSource& clip, Need need, const Side& audio, OpenedClip* opened) const;
  void tell_of_few_pictures(const ClipSource& clip, int64_t num) const;
  static StreamTimes common_times(const ClipSource& clip, const Side& audio, const Side& video,
                                  bool is_pinned);
  ClipWindow window(const ClipSource& clip, const ViewOptions& view, const Side& audio, const Side& video,
                    uint64_t seed) const;

  // What is to be read of a clip, and from where in its files.
  struct Place {
    Side audio, video;
    ClipWindow window;
  };
  Place place(const ClipSource& clip, const ViewOptions& view, Need need, uint64_t seed,
              OpenedClip* opened) const;
  void plan(const ClipSource& clip, const ViewOptions& view, const Place& place, OpenedClip& opened) const;

  torch::Tensor video(const ClipSource& clip, const FileFacts& facts, const ClipWindow& window,
                      const ViewOptions& view, uint64_t seed, OpenedClip* opened) const;
};

namespace {

// read(), whose MediaError is that of one side.
template <class Read>
auto of_side(ClipSide side, const Read& read) {
  try {
    return read();
  } catch (const SideError&) {
    throw;
  } catch (const MediaError& e) {
    throw SideError(side, /*is_lacking=*/false, e.what());
  }
}

[[noreturn]] void throw_lacking(ClipSide side, const MediaSource& source, const char* what) {
  throw SideError(side, /*is_lacking=*/true, concat(source, what));
}

}  // namespace

FileFacts ClipReader::State::facts(const MediaSource& source, OpenedClip* opened) const {
  return opened != nullptr ? opened->facts(source, [&] { return decoder.facts(source); })
                           : decoder.facts(source);
}

ClipReader::State::Side ClipReader::State::audio_side(const ClipSource& clip, Need need,
                                                      OpenedClip* opened) const {
  Side side;
  if (need == Need::video) return side;
  const bool required = need != Need::any;
  if (clip.audio.empty()) {
    if (required)
      throw_lacking(ClipSide::audio, clip.frames.empty() ? clip.video : clip.frames[0],
                    ": has no audio and its list names none; give 'audio' in a manifest or leave it out");
    return side;
  }
  // A file of both sides that cannot be opened lacks both.
  const ClipSide at_fault = clip.video == clip.audio ? ClipSide::both : ClipSide::audio;
  side.facts = of_side(at_fault, [&] { return facts(clip.audio, opened); });
  if (required && !side.facts.has_audio) throw_lacking(ClipSide::audio, clip.audio, ": has no audio");
  side.wanted = side.facts.has_audio;
  return side;
}

ClipReader::State::Side ClipReader::State::video_side(const ClipSource& clip, Need need, const Side& audio,
                                                      OpenedClip* opened) const {
  Side side;
  if (need == Need::audio) return side;
  const bool required = need != Need::any;
  if (!clip.frames.empty()) {
    side.facts = {.has_audio = false, .has_video = true, .is_picture = true};
  } else if (!clip.video.empty()) {
    const bool already_known = clip.video == clip.audio && need != Need::video;
    const ClipSide at_fault = clip.video == clip.audio ? ClipSide::both : ClipSide::video;
    side.facts = already_known ? audio.facts : of_side(at_fault, [&] { return facts(clip.video, opened); });
  }
  if (required && !side.facts.has_video)
    throw_lacking(ClipSide::video, clip.video.empty() ? clip.audio : clip.video, ": has no video");
  side.wanted = side.facts.has_video;
  return side;
}

// Where sound and video are both there, as far as they are wanted; sound and video of separate files are
// taken to begin together. An end of 0 is not known.
StreamTimes ClipReader::State::common_times(const ClipSource& clip, const Side& audio, const Side& video,
                                            bool is_pinned) {
  StreamTimes both;
  for (const auto& [side, source, times] : {std::tuple(&audio, &clip.audio, &audio.facts.times.audio),
                                            std::tuple(&video, &clip.video, &video.facts.times.video)}) {
    if (!side->wanted || side->facts.is_picture) continue;
    const ClipSide at_fault = clip.audio == clip.video ? ClipSide::both
                              : side == &audio         ? ClipSide::audio
                                                       : ClipSide::video;
    if (side->facts.times.cut_off && !is_pinned)
      throw SideError(
          at_fault, /*is_lacking=*/false,
          concat(*source,
                 ": is cut off or damaged: it ends in the middle of a packet, so that nothing tells "
                 "how long it was; copy or download it again, or keep what is there: "
                 "ffmpeg -i OLD -c copy NEW"));
    if (times->end_seconds <= 0.0) continue;
    both.start_seconds = std::max(both.start_seconds, times->start_seconds);
    both.end_seconds =
        both.end_seconds > 0 ? std::min(both.end_seconds, times->end_seconds) : times->end_seconds;
  }
  const StreamTimes &a = audio.facts.times.audio, &v = video.facts.times.video;
  CAVMAE_CHECK_AS(MediaError, both.end_seconds <= 0 || both.end_seconds > both.start_seconds || is_pinned,
                  clip.audio, ": its sound (", a.start_seconds, " to ", a.end_seconds,
                  " s) and its pictures (", v.start_seconds, " to ", v.end_seconds,
                  " s) are never there together; give a start, or embed each for itself");
  return both;
}

ClipWindow ClipReader::State::window(const ClipSource& clip, const ViewOptions& view, const Side& audio,
                                     const Side& video, uint64_t seed) const {
  StreamTimes both = common_times(clip, audio, video, view.window_start || clip.start_seconds);
  if (view.until_seconds && (both.end_seconds <= 0 || both.end_seconds > *view.until_seconds))
    both.end_seconds = *view.until_seconds;
  // What begins a little late makes no window shorter, and still counts for the middle of a longer file.
  if (both.start_seconds < kTogetherSeconds)
    both.start_seconds = std::min(both.start_seconds, std::max(0.0, both.end_seconds - spec.window_seconds));
  const WindowPlace anywhere = decoder.has_cache() ? WindowPlace::random_of_few : WindowPlace::random;
  // A file that ends before the segment would is that segment, cut out.
  constexpr double kTolerance = 1.0;
  const bool is_cut_out =
      clip.end_seconds && both.end_seconds > 0 && both.end_seconds < *clip.end_seconds - kTolerance;
  const std::optional<double> listed_start = is_cut_out ? std::nullopt : clip.start_seconds;
  Random random = random_for(seed, Draw::window);
  try {
    return choose_window({.file_seconds = both.end_seconds,
                          .begin_seconds = both.start_seconds,
                          .window_seconds = spec.window_seconds,
                          .place = view.random_window ? anywhere : WindowPlace::middle,
                          .pinned_start = view.window_start ? view.window_start : listed_start},
                         random);
  } catch (const MediaError& e) {
    throw MediaError(concat(audio.wanted ? clip.audio : clip.video, ": ", e.what()));
  }
}

ClipReader::State::Place ClipReader::State::place(const ClipSource& clip, const ViewOptions& view, Need need,
                                                  uint64_t seed, OpenedClip* opened) const {
  Place place{.audio = audio_side(clip, need, opened), .video = {}, .window = {}};
  place.video = video_side(clip, need, place.audio, opened);
  CAVMAE_CHECK_AS(MediaError, place.audio.wanted || place.video.wanted,
                  clip.audio.empty() ? clip.video : clip.audio, ": has neither audio nor video");
  place.window = window(clip, view, place.audio, place.video, seed);
  if (opened != nullptr && !opened->is_planned()) plan(clip, view, place, *opened);
  return place;
}

void ClipReader::State::plan(const ClipSource& clip, const ViewOptions& view, const Place& place,
                             OpenedClip& opened) const {
  ClipSource pinned = clip;
  std::vector<ClipWindow> windows;
  for (const double start : opened.starts()) {
    pinned.start_seconds = start;
    try {
      windows.push_back(window(pinned, view, place.audio, place.video, /*seed=*/0));
    } catch (const MediaError&) {
      // Told when its turn comes.
    }
  }
  opened.plan(std::move(windows));
}

// Those of another recipe, prepared before: each stands for several moments, whose sounds it does not belong
// to.
void ClipReader::State::tell_of_few_pictures(const ClipSource& clip, int64_t num) const {
  const bool are_few =
      spec.alignment == Alignment::picture && !clip.frames.empty() && num > 1 && num < spec.num_frames;
  if (!are_few || !log || told_of_few_pictures.exchange(true)) return;
  log->warn(
      "{}: lists {} pictures, and the network compares {} of a clip, each with the sound around its moment; they are "
      "repeated, so that many stand beside another moment's sound. Prepare {} pictures a clip (told once)",
      clip.id, num, spec.num_frames, spec.num_frames);
}

torch::Tensor ClipReader::State::video(const ClipSource& clip, const FileFacts& facts,
                                       const ClipWindow& window, const ViewOptions& view, uint64_t seed,
                                       OpenedClip* opened) const {
  const int64_t num_frames = spec.num_frames, num = decoder.num_pictures(clip, facts);
  tell_of_few_pictures(clip, num);
  if (view.frames == FrameChoice::all) {
    std::vector<int64_t> all(num);
    std::iota(all.begin(), all.end(), 0);
    std::vector<torch::Tensor> distinct, frames;
    for (const torch::Tensor& picture : decoder.pictures(clip, facts, window, all, opened))
      distinct.push_back(normalize_image(picture));
    for (int64_t i = 0; i < num_frames; ++i) frames.push_back(distinct[i * num / num_frames]);
    return at::stack(frames);
  }
  const int64_t frame = picture_of(spec, view, seed);
  return normalize_image(decoder.pictures(clip, facts, window, {frame * num / num_frames}, opened).front());
}

ClipReader::ClipReader(const InputSpec& spec, const fs::path& cache_dir, std::shared_ptr<Log> log) {
  spec.validate();
  state_.reset(new State{.spec = spec, .decoder = CachedDecoder(spec, cache_dir, log), .log = log});
}

ClipReader::~ClipReader() = default;

const InputSpec& ClipReader::spec() const {
  return state_->spec;
}

Sample ClipReader::read(const ClipSource& clip, const ViewOptions& view, Need need, uint64_t seed,
                        OpenedClip* opened) const {
  const auto place = state_->place(clip, view, need, seed, opened);
  Sample sample;
  if (place.audio.wanted)
    sample.audio = of_side(ClipSide::audio, [&] {
      return finish_audio(state_->decoder.fbank(clip.audio, place.window, &place.audio.facts.times, opened),
                          state_->spec, view, seed, place.window.length_seconds);
    });
  if (place.video.wanted)
    sample.video = of_side(ClipSide::video, [&] {
      return state_->video(clip, place.video.facts, place.window, view, seed, opened);
    });
  return sample;
}

StreamTimes ClipReader::clip_times(const ClipSource& clip, Need need) const {
  const auto audio = state_->audio_side(clip, need, nullptr);
  const auto video = state_->video_side(clip, need, audio, nullptr);
  StreamTimes both = State::common_times(clip, audio, video, clip.start_seconds.has_value());
  if (both.start_seconds < kTogetherSeconds) both.start_seconds = 0.0;
  return both;
}

ReadPlace ClipReader::place(const ClipSource& clip, Need need) const {
  const auto place = state_->place(clip, ViewOptions{}, need, /*seed=*/0, nullptr);
  return {.has_audio = place.audio.wanted, .has_video = place.video.wanted, .window = place.window};
}

RawClip ClipReader::read_raw(const ClipSource& clip, const ViewOptions& view, Need need,
                             uint64_t seed) const {
  const auto place = state_->place(clip, view, need, seed, nullptr);
  RawClip raw;
  if (place.audio.wanted)
    raw.waveform = state_->decoder.waveform(clip.audio, place.window, &place.audio.facts.times);
  if (place.video.wanted)
    raw.video = state_->video(clip, place.video.facts, place.window, view, seed, nullptr);
  return raw;
}

Sample ClipReader::finish(const RawClip& clip, const ViewOptions& view, uint64_t seed) const {
  Sample sample;
  if (clip.waveform.defined())
    sample.audio = finish_audio(state_->decoder.fbank(clip.waveform), state_->spec, view, seed,
                                state_->spec.window_seconds);
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
