#include "cavmae/synth/scene.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numbers>

#include "cavmae/core/options.h"
#include "cavmae/core/random.h"

namespace cavmae {
namespace {

constexpr double kTwoPi = 2.0 * std::numbers::pi;
// Objects keep this far from the walls.
constexpr double kWallMargin = 0.02;

// `count` values from `draw`, any two of which are at least `gap` apart as `distance` tells it. A gap that
// the range holds several times over is found in a few attempts.
std::vector<double> draw_apart(int64_t count, double gap, const std::function<double()>& draw,
                               const std::function<double(double, double)>& distance) {
  std::vector<double> values;
  while (static_cast<int64_t>(values.size()) < count) {
    // Starting anew now and then: the first values may leave no room for the last.
    values.clear();
    for (int64_t attempt = 0; attempt < 8 * count && static_cast<int64_t>(values.size()) < count; ++attempt) {
      const double value = draw();
      if (std::all_of(values.begin(), values.end(), [&](double v) { return distance(v, value) >= gap; }))
        values.push_back(value);
    }
  }
  return values;
}

double circular_distance(double a, double b) {
  const double d = std::abs(a - b);
  return std::min(d, 1.0 - d);
}

// `count` different kinds.
std::vector<ShapeKind> draw_kinds(Random& random, int64_t count) {
  std::array<ShapeKind, kNumShapeKinds> kinds;
  for (int64_t i = 0; i < kNumShapeKinds; ++i) kinds[static_cast<size_t>(i)] = static_cast<ShapeKind>(i);
  for (int64_t i = 0; i < count; ++i)
    std::swap(kinds[static_cast<size_t>(i)],
              kinds[static_cast<size_t>(random.integer(i, kNumShapeKinds - 1))]);
  return {kinds.begin(), kinds.begin() + count};
}

// What the kind of motion sets: a hop is quick and stays in place, a glide crosses the picture.
void draw_motion(Random& random, SynthObject& o) {
  o.motion = static_cast<MotionKind>(random.integer(0, 2));
  double speed = 0.0;
  switch (o.motion) {
    case MotionKind::hop:
      o.period_seconds = random.uniform(0.45, 1.1);
      o.sway = random.uniform(0.04, 0.07);
      speed = random.uniform(0.05, 0.25);
      break;
    case MotionKind::glide:
      o.period_seconds = random.uniform(1.6, 4.0);
      o.sway = random.uniform(0.03, 0.07);
      speed = random.uniform(0.3, 0.9);
      break;
    case MotionKind::pulse:
      o.period_seconds = random.uniform(0.35, 1.0);
      o.sway = random.uniform(0.005, 0.015);
      speed = random.uniform(0.02, 0.06);
      break;
  }
  o.speed_x = random.integer(0, 1) == 0 ? speed : -speed;
  o.phase = random.uniform();
  o.start_x = random.uniform(o.radius + kWallMargin, 1.0 - o.radius - kWallMargin);
}

SynthBackground draw_background(Random& random) {
  SynthBackground b;
  b.kind = static_cast<BackgroundKind>(random.integer(0, 4));
  b.hue = random.uniform();
  b.second_hue = random.uniform();
  b.saturation = random.uniform(0.08, 0.35);
  b.brightness = random.uniform(kMinBrightness, kMaxBrightness);
  b.contrast = random.uniform(kMinContrast, kMaxContrast);
  b.cells = random.uniform(2.5, 7.0);
  b.angle_radians = random.uniform(0.0, kTwoPi);
  return b;
}

// Where `value` stands between `low` and `high`, 0 to 1.
double share(double value, double low, double high) {
  return std::clamp((value - low) / (high - low), 0.0, 1.0);
}

// Appends the multiples of `step` that a point starting at `start` with `speed` passes within (0, until), as
// times.
void append_crossings(double start, double speed, double step, double until, std::vector<double>& times) {
  if (speed == 0.0) return;
  const double end = start + speed * until;
  const auto first = static_cast<int64_t>(std::ceil(std::min(start, end) / step));
  const auto last = static_cast<int64_t>(std::floor(std::max(start, end) / step));
  for (int64_t k = first; k <= last; ++k) {
    const double t = (static_cast<double>(k) * step - start) / speed;
    if (t >= 0.0 && t < until) times.push_back(t);
  }
}

}  // namespace

namespace {

// `gap`: between the heights of any two objects.
SynthScene draw_objects(Random& random, int64_t count, double gap) {
  SynthScene scene;
  const auto kinds = draw_kinds(random, count);
  const auto heights = draw_apart(
      count, gap, [&] { return random.uniform(0.2, 0.8); },
      [](double a, double b) { return std::abs(a - b); });
  const auto hues = draw_apart(
      count, 0.12, [&] { return random.uniform(); }, circular_distance);
  for (size_t i = 0; i < kinds.size(); ++i) {
    SynthObject& o = scene.objects.emplace_back();
    o.kind = kinds[i];
    o.hue = hues[i];
    o.base_height = heights[i];
    o.radius = random.uniform(kMinRadius, kMaxRadius);
    o.tilt_radians = random.uniform(-0.25, 0.25);
    draw_motion(random, o);
  }
  scene.background = draw_background(random);
  scene.noise_seed = random.integer(0, (int64_t{1} << 53) - 1);
  return scene;
}

}  // namespace

SynthScene draw_scene(int64_t seed, int64_t index) {
  Random random({static_cast<uint64_t>(seed), static_cast<uint64_t>(index), 0x5ce7e});
  const int64_t count = random.integer(1, 3);
  return draw_objects(random, count, 0.18);
}

SynthScene draw_scene_with_events(int64_t seed, int64_t index, double clip_seconds) {
  constexpr int64_t kTurns = 4;
  constexpr double kOverlapSeconds = 0.3;
  Random random({static_cast<uint64_t>(seed), static_cast<uint64_t>(index), 0xe7e275});
  SynthScene scene = draw_objects(random, kTurns, 0.12);
  const double turn = clip_seconds / kTurns, longest = std::min(kOverlapSeconds, turn / 2);
  for (int64_t i = 0; i < kTurns; ++i) {
    SynthObject& o = scene.objects[static_cast<size_t>(i)];
    const double begin = static_cast<double>(i) * turn;
    if (i > 0) o.appears_seconds = begin - random.uniform(0.0, longest);
    if (i + 1 < kTurns) o.leaves_seconds = begin + turn + random.uniform(0.0, longest);
  }
  return scene;
}

std::vector<std::string> scene_labels(const SynthScene& scene) {
  std::vector<std::string> labels;
  for (const auto& [kind, name] : option_names(ShapeKind{})) {
    if (std::any_of(scene.objects.begin(), scene.objects.end(),
                    [&](const auto& o) { return o.kind == kind; }))
      labels.push_back(name);
  }
  return labels;
}

SynthPlace place_at(const SynthObject& o, double seconds) {
  // Across: to and fro between the walls, a straight run folded at both ends.
  const double low = o.radius + kWallMargin, width = 1.0 - 2.0 * low;
  const double run = std::fmod(o.start_x - low + o.speed_x * seconds, 2.0 * width);
  const double folded = run < 0.0 ? run + 2.0 * width : run;
  const double x = low + (folded > width ? 2.0 * width - folded : folded);

  const double cycles = o.phase + seconds / o.period_seconds;
  const double p = cycles - std::floor(cycles);
  const double swing = o.motion == MotionKind::hop ? 8.0 * p * (1.0 - p) - 1.0 : std::sin(kTwoPi * p);
  return {x, o.base_height + o.sway * swing};
}

bool is_present(const SynthObject& o, double seconds) {
  return seconds >= o.appears_seconds && (!o.leaves_seconds || seconds < *o.leaves_seconds);
}

std::vector<double> beat_times(const SynthObject& o, double until_seconds) {
  std::vector<double> times;
  const double low = o.radius + kWallMargin;
  append_crossings(o.start_x - low, o.speed_x, 1.0 - 2.0 * low, until_seconds, times);
  if (o.motion != MotionKind::glide)
    append_crossings(o.phase, 1.0 / o.period_seconds, 1.0, until_seconds, times);
  if (o.appears_seconds > 0.0 && o.appears_seconds < until_seconds) times.push_back(o.appears_seconds);
  std::erase_if(times, [&](double seconds) { return !is_present(o, seconds); });
  std::sort(times.begin(), times.end());
  return times;
}

double pitch_hz(double height) {
  return 160.0 * std::exp2(3.5 * height);
}

double loudness_db(const SynthObject& o) {
  return -12.0 * (1.0 - share(o.radius, kMinRadius, kMaxRadius));
}

// The colour circle has no ends, and so the two numbers that are heard of it have none: its cosine (red
// against cyan) and its sine (green against blue), which are also nearly linear in the pixels.
double vibrato_hz(const SynthObject& o) {
  return 5.5 + 3.5 * std::cos(kTwoPi * o.hue);
}

double harmony_semitones(const SynthObject& o) {
  return 6.0 + 3.0 * std::sin(kTwoPi * o.hue);
}

double noise_cutoff_hz(const SynthBackground& b) {
  return 200.0 * std::pow(40.0, share(b.brightness, kMinBrightness, kMaxBrightness));
}

double noise_level_db(const SynthBackground& b) {
  return -60.0 + 18.0 * share(b.contrast, kMinContrast, kMaxContrast);
}

}  // namespace cavmae
