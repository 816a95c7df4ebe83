#include "cavmae/data/targets.h"

#include <cmath>
#include <optional>

#include "cavmae/core/beta_distribution.h"
#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/data/draws.h"

namespace cavmae {
namespace {

// So many clips in a row that cannot be read stop the search, not the run: max_bad_ratio sees to that.
constexpr uint64_t kMaxDraws = 16;

struct Partner {
  int64_t index = 0;
  RawClip clip;
};

std::optional<Partner> read_partner(const LabelledClips& from, uint64_t seed, Random& random) {
  const auto num_clips = static_cast<int64_t>(from.clips.size());
  for (uint64_t attempt = 0; attempt < kMaxDraws; ++attempt) {
    const int64_t index = random.integer(0, num_clips - 1);
    const uint64_t own_seed = mix_seed({seed, static_cast<uint64_t>(Draw::mixup_partner), attempt});
    try {
      return Partner{.index = index,
                     .clip = from.reader.read_raw(from.clips[index], from.view, from.need, own_seed)};
    } catch (const MediaError&) {
      // Reported and counted when its own turn comes.
    }
  }
  return std::nullopt;
}

}  // namespace

void TargetOptions::validate() const {
  Problems problems;
  problems.require(mixup >= 0 && mixup <= 1, "mixup is ", mixup, ", it must lie in 0 to 1");
  problems.require(std::isfinite(mixup_alpha) && mixup_alpha > 0, "mixup_alpha is ", mixup_alpha,
                   ", it must be above 0");
  problems.require(label_smoothing >= 0 && label_smoothing < 1, "label_smoothing is ", label_smoothing,
                   ", it must lie in 0 to 1 (1 excluded)");
  problems.throw_if_any("the targets cannot be made");
}

torch::Tensor soft_target(const std::vector<TargetPart>& parts, int64_t num_classes, double smoothing) {
  std::vector<double> cells(num_classes, smoothing / static_cast<double>(num_classes));
  for (const TargetPart& part : parts)
    for (const int64_t c : part.classes)
      cells.at(c) = parts.size() == 1 ? 1.0 - smoothing : cells.at(c) + part.share * (1.0 - smoothing);
  return torch::tensor(cells, torch::kFloat64).to(torch::kFloat32);
}

Sample read_labelled(const LabelledClips& from, int64_t index, uint64_t seed) {
  const ClipSource& clip = from.clips[index];
  const auto& [classes, num_classes, weights, options] = from.supervision;
  Sample sample;
  Random random = random_for(seed, Draw::mixup);
  if (random.uniform() >= options.mixup) {
    sample = from.reader.read(clip, from.view, from.need, seed);
    sample.target = soft_target({{.classes = classes[index]}}, num_classes, options.label_smoothing);
    return sample;
  }
  const double share = draw_beta(random, options.mixup_alpha, options.mixup_alpha);
  const RawClip first = from.reader.read_raw(clip, from.view, from.need, seed);
  const auto second = read_partner(from, seed, random);
  sample = from.reader.finish(second ? mix_clips(first, second->clip, share) : first, from.view, seed);
  std::vector<TargetPart> parts = {{.classes = classes[index], .share = share}};
  if (second) parts.push_back({.classes = classes[second->index], .share = 1.0 - share});
  sample.target = soft_target(parts, num_classes, options.label_smoothing);
  return sample;
}

}  // namespace cavmae
