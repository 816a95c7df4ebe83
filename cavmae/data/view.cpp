#include "cavmae/data/view.h"

#include "cavmae/core/random.h"
#include "cavmae/data/draws.h"
#include "cavmae/features/augment.h"
#include "cavmae/features/fbank.h"
#include "cavmae/features/segments.h"

namespace cavmae {
namespace {

torch::Tensor finish(const torch::Tensor& fbank, const InputSpec& spec, const ViewOptions& view,
                     uint64_t seed) {
  Random noise = random_for(seed, Draw::noise), roll = random_for(seed, Draw::roll);
  return finish_fbank(fbank, {.num_frames = spec.input_frames(),
                              .mean = spec.fbank_mean,
                              .std = spec.fbank_std,
                              .noise = view.noise ? &noise : nullptr,
                              .roll = view.roll ? &roll : nullptr});
}

// The segment of the view's picture, float [T, F], or of each picture, [K, T, F] (Note [Aligned segments]).
torch::Tensor finish_segments(const torch::Tensor& fbank, const InputSpec& spec, const ViewOptions& view,
                              uint64_t seed, double seconds) {
  const SegmentPlan plan = view.fits_segments ? segment_plan(spec, seconds) : segment_plan(spec);
  if (view.frames != FrameChoice::all)
    return finish(cut_segment(fbank, plan, picture_of(spec, view, seed)), spec, view, seed);
  std::vector<torch::Tensor> segments;
  for (int64_t i = 0; i < plan.num_pictures; ++i) {
    const bool is_repeated = i > 0 && aligned_segment(plan, i) == aligned_segment(plan, i - 1);
    segments.push_back(is_repeated ? segments.back() : finish(cut_segment(fbank, plan, i), spec, view, seed));
  }
  return at::stack(segments);
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

int64_t picture_of(const InputSpec& spec, const ViewOptions& view, uint64_t seed) {
  Random random = random_for(seed, Draw::frame);
  return view.frames == FrameChoice::random ? random.integer(0, spec.num_frames - 1) : spec.num_frames / 2;
}

// The order of the authors' code: masks on the padded filterbank as it is, then mean and deviation, noise,
// roll.
torch::Tensor finish_audio(torch::Tensor fbank, const InputSpec& spec, const ViewOptions& view, uint64_t seed,
                           double seconds) {
  if (view.frequency_mask > 0 || view.time_mask > 0) {
    Random masks = random_for(seed, Draw::masks);
    fbank = fit_frames(fbank, spec.num_fbank_frames);
    if (view.frequency_mask > 0) mask_frequencies(fbank, view.frequency_mask, masks);
    if (view.time_mask > 0) mask_times(fbank, view.time_mask, masks);
  }
  return spec.alignment == Alignment::picture ? finish_segments(fbank, spec, view, seed, seconds)
                                              : finish(fbank, spec, view, seed);
}

}  // namespace cavmae
