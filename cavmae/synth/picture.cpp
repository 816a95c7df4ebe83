#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numbers>

#include "cavmae/core/random.h"
#include "cavmae/synth/shape.h"
#include "cavmae/synth/synth.h"

namespace cavmae {
namespace {

using Colour = std::array<float, 3>;  // red, green, blue in 0 to 255

Colour mix(const Colour& a, const Colour& b, float share_of_b) {
  Colour out;
  for (size_t c = 0; c < 3; ++c) out[c] = a[c] + share_of_b * (b[c] - a[c]);
  return out;
}

Colour scaled(const Colour& a, float factor) {
  return {a[0] * factor, a[1] * factor, a[2] * factor};
}

// Hue, saturation and value, all of range 0 to 1, as red, green and blue.
Colour colour_of(double hue, double saturation, double value) {
  Colour out;
  for (size_t c = 0; c < 3; ++c) {
    // Each primary is full within a sixth of the circle on both sides of its own place, and falls off beyond.
    double away = std::abs(hue - static_cast<double>(c) / 3.0);
    away = std::min(away, 1.0 - away);
    const double strength = std::clamp(2.0 - 6.0 * away, 0.0, 1.0);
    out[c] = static_cast<float>(255.0 * value * (1.0 - saturation * (1.0 - strength)));
  }
  return out;
}

uint8_t to_byte(float value) {
  return static_cast<uint8_t>(std::clamp(value, 0.0f, 255.0f) + 0.5f);
}

// ---- background

// A smooth random surface in [0, 1]: values at the points of a lattice, blended in between.
class Clouds {
 public:
  explicit Clouds(int64_t seed) {
    Random random({static_cast<uint64_t>(seed), 0xc10d});
    for (float& v : values_) v = static_cast<float>(random.uniform());
  }
  float at(double x, double y) const {
    const double fx = std::floor(x), fy = std::floor(y);
    const auto ease = [](double t) { return static_cast<float>(t * t * (3.0 - 2.0 * t)); };
    const float tx = ease(x - fx), ty = ease(y - fy);
    const auto ix = static_cast<int64_t>(fx), iy = static_cast<int64_t>(fy);
    const float top = value(ix, iy) + tx * (value(ix + 1, iy) - value(ix, iy));
    const float bottom = value(ix, iy + 1) + tx * (value(ix + 1, iy + 1) - value(ix, iy + 1));
    return top + ty * (bottom - top);
  }

 private:
  static constexpr int64_t kSide = 16;
  float value(int64_t x, int64_t y) const {
    return values_[static_cast<size_t>((y & (kSide - 1)) * kSide + (x & (kSide - 1)))];
  }
  std::array<float, kSide * kSide> values_;
};

// 1 where `distance` (in pixels) is positive, 0 where it is negative, a pixel wide in between.
float step(double distance) {
  return static_cast<float>(std::clamp(0.5 + distance, 0.0, 1.0));
}

// How light the pattern is at a place, 0 to 1. `u` and `v` count its repetitions, `pixels` is how many pixels
// one of them takes.
float pattern_at(const SynthBackground& b, const Clouds& clouds, double u, double v, double pixels) {
  const auto wave = [](double t) { return 2.0 * std::abs(t - std::floor(t) - 0.5) - 0.5; };  // -0.5 to 0.5
  switch (b.kind) {
    case BackgroundKind::gradient:
      return static_cast<float>(std::clamp(0.5 + 0.8 * u / b.cells, 0.0, 1.0));
    case BackgroundKind::stripes:
      return step(0.5 * pixels * wave(u));
    case BackgroundKind::checker: {
      const float a = step(0.5 * pixels * wave(0.5 * u) * 2.0), c = step(0.5 * pixels * wave(0.5 * v) * 2.0);
      return a + c - 2.0f * a * c;
    }
    case BackgroundKind::clouds:
      return std::clamp(1.4f * (0.65f * clouds.at(u, v) + 0.35f * clouds.at(2.0 * u, 2.0 * v)) - 0.2f, 0.0f,
                        1.0f);
    case BackgroundKind::dots: {
      const double du = u - std::floor(u) - 0.5, dv = v - std::floor(v) - 0.5;
      return step(pixels * (0.28 - std::sqrt(du * du + dv * dv)));
    }
  }
  return 0.0f;
}

torch::Tensor render_background(const SynthScene& scene, int64_t side) {
  const SynthBackground& b = scene.background;
  const Colour light = colour_of(b.hue, b.saturation, std::min(1.0, b.brightness * (1.0 + b.contrast)));
  const Colour dark = colour_of(b.second_hue, b.saturation, b.brightness * (1.0 - b.contrast));
  const Clouds clouds(scene.noise_seed);
  const double pixels = static_cast<double>(side) / b.cells;
  const double cosine = std::cos(b.angle_radians), sine = std::sin(b.angle_radians);
  torch::Tensor image = torch::empty({side, side, 3}, torch::kUInt8);
  uint8_t* out = image.data_ptr<uint8_t>();
  for (int64_t row = 0; row < side; ++row) {
    for (int64_t column = 0; column < side; ++column, out += 3) {
      const double x = (static_cast<double>(column) + 0.5) / static_cast<double>(side) - 0.5;
      const double y = (static_cast<double>(row) + 0.5) / static_cast<double>(side) - 0.5;
      const double u = b.cells * (cosine * x + sine * y), v = b.cells * (cosine * y - sine * x);
      const Colour colour = mix(dark, light, pattern_at(b, clouds, u, v, pixels));
      for (size_t c = 0; c < 3; ++c) out[c] = to_byte(colour[c]);
    }
  }
  return image;
}

// ---- objects

// One drawing of a shape: where, how large and how.
struct Stamp {
  ShapeKind kind;
  double x, y;                // of the centre, pixels
  double radius_x, radius_y;  // pixels
  double tilt_radians;
  Colour fill, outline;
  float opacity;
};

// A row of bytes is blended with the shape's colours: the outline along the edge, the fill within.
void draw(const Stamp& s, uint8_t* image, int64_t side) {
  const auto last = static_cast<double>(side - 1);
  const double reach_x = kShapeReach * s.radius_x + 2.0, reach_y = kShapeReach * s.radius_y + 2.0;
  const auto left = static_cast<int64_t>(std::clamp(std::floor(s.x - reach_x), 0.0, last));
  const auto right = static_cast<int64_t>(std::clamp(std::ceil(s.x + reach_x), 0.0, last));
  const auto top = static_cast<int64_t>(std::clamp(std::floor(s.y - reach_y), 0.0, last));
  const auto bottom = static_cast<int64_t>(std::clamp(std::ceil(s.y + reach_y), 0.0, last));
  const auto cosine = static_cast<float>(std::cos(s.tilt_radians));
  const auto sine = static_cast<float>(std::sin(s.tilt_radians));
  const auto pixels_a_unit = static_cast<float>(std::min(s.radius_x, s.radius_y));
  const float outline_px = std::max(1.0f, 0.12f * pixels_a_unit);
  for (int64_t row = top; row <= bottom; ++row) {
    const auto up = static_cast<float>((s.y - static_cast<double>(row) - 0.5) / s.radius_y);
    uint8_t* pixel = image + 3 * (row * side + left);
    for (int64_t column = left; column <= right; ++column, pixel += 3) {
      const auto across = static_cast<float>((static_cast<double>(column) + 0.5 - s.x) / s.radius_x);
      const float distance =
          pixels_a_unit * shape_distance(s.kind, cosine * across + sine * up, cosine * up - sine * across);
      const float coverage = s.opacity * std::clamp(0.5f - distance, 0.0f, 1.0f);
      if (coverage <= 0.0f) continue;
      const float inner = std::clamp(0.5f - distance - outline_px, 0.0f, 1.0f);
      // Lit from above.
      const Colour colour = mix(s.outline, scaled(s.fill, 1.0f + 0.13f * up), inner);
      for (size_t c = 0; c < 3; ++c) {
        const auto behind = static_cast<float>(pixel[c]);
        pixel[c] = to_byte(behind + coverage * (colour[c] - behind));
      }
    }
  }
}

// How much of the last beat is left at a time: 1 at the beat, falling to 0.
double beat_strength(const std::vector<double>& beats, double seconds) {
  const auto next = std::upper_bound(beats.begin(), beats.end(), seconds);
  return next == beats.begin() ? 0.0 : std::exp((*std::prev(next) - seconds) / kBeatDecaySeconds);
}

void draw_object(const SynthObject& o, const std::vector<double>& beats, double seconds, uint8_t* image,
                 int64_t side) {
  if (!is_present(o, seconds)) return;
  const auto size = static_cast<double>(side);
  const Colour colour = colour_of(o.hue, 0.88, 0.95);
  // Echoes of where it was make its speed visible in a single picture, and with it the tempo of its beats.
  constexpr std::array<float, 3> kEchoOpacity = {0.12f, 0.2f, 0.32f};
  for (size_t i = 0; i < kEchoOpacity.size(); ++i) {
    const auto steps_back = static_cast<double>(kEchoOpacity.size() - i);
    // What has been there from the beginning has echoes of before it.
    if (o.appears_seconds > 0.0 && !is_present(o, seconds - 0.07 * steps_back)) continue;
    const SynthPlace place = place_at(o, seconds - 0.07 * steps_back);
    const double radius = o.radius * size * (1.0 - 0.1 * steps_back);
    draw({.kind = o.kind,
          .x = place.x * size,
          .y = (1.0 - place.height) * size,
          .radius_x = radius,
          .radius_y = radius,
          .tilt_radians = o.tilt_radians,
          .fill = colour,
          .outline = colour,
          .opacity = kEchoOpacity[i]},
         image, side);
  }
  const SynthPlace place = place_at(o, seconds);
  const double beat = beat_strength(beats, seconds);
  draw({.kind = o.kind,
        .x = place.x * size,
        .y = (1.0 - place.height) * size,
        .radius_x = o.radius * size * (1.0 + 0.22 * beat),
        .radius_y = o.radius * size * (1.0 - 0.22 * beat),
        .tilt_radians = o.tilt_radians,
        .fill = mix(colour, {255.0f, 255.0f, 255.0f}, static_cast<float>(0.55 * beat)),
        .outline = scaled(colour, 0.25f),
        .opacity = 1.0f},
       image, side);
}

}  // namespace

std::vector<torch::Tensor> render_frames(const SynthScene& scene, const SynthOptions& options) {
  const int64_t side = options.image_size_px;
  const torch::Tensor background = render_background(scene, side);
  std::vector<std::vector<double>> beats;
  for (const SynthObject& o : scene.objects) beats.push_back(beat_times(o, options.clip_seconds));
  const auto count =
      static_cast<int64_t>(std::llround(options.clip_seconds * static_cast<double>(options.frame_rate_hz)));
  std::vector<torch::Tensor> frames;
  for (int64_t i = 0; i < std::max<int64_t>(count, 1); ++i) {
    const double seconds = static_cast<double>(i) / static_cast<double>(options.frame_rate_hz);
    torch::Tensor& frame = frames.emplace_back(torch::empty_like(background));
    std::memcpy(frame.data_ptr<uint8_t>(), background.data_ptr<uint8_t>(), frame.nbytes());
    for (size_t k = 0; k < scene.objects.size(); ++k)
      draw_object(scene.objects[k], beats[k], seconds, frame.data_ptr<uint8_t>(), side);
  }
  return frames;
}

}  // namespace cavmae
