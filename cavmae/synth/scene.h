// What one generated clip shows and plays: every hidden parameter of it, how its objects move, and the laws
// by which looks and sounds correspond. Pure functions of their arguments; safe from any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cavmae {

enum class ShapeKind { circle, square, triangle, star, ring, cross, diamond, crescent };
inline std::vector<std::pair<ShapeKind, std::string>> option_names(ShapeKind) {
  return {{ShapeKind::circle, "circle"},     {ShapeKind::square, "square"},
          {ShapeKind::triangle, "triangle"}, {ShapeKind::star, "star"},
          {ShapeKind::ring, "ring"},         {ShapeKind::cross, "cross"},
          {ShapeKind::diamond, "diamond"},   {ShapeKind::crescent, "crescent"}};
}
constexpr int64_t kNumShapeKinds = 8;

// hop: parabolic hops on an unseen floor; glide: from wall to wall, swaying; pulse: nearly in place, beating.
enum class MotionKind { hop, glide, pulse };
inline std::vector<std::pair<MotionKind, std::string>> option_names(MotionKind) {
  return {{MotionKind::hop, "hop"}, {MotionKind::glide, "glide"}, {MotionKind::pulse, "pulse"}};
}

enum class BackgroundKind { gradient, stripes, checker, clouds, dots };
inline std::vector<std::pair<BackgroundKind, std::string>> option_names(BackgroundKind) {
  return {{BackgroundKind::gradient, "gradient"},
          {BackgroundKind::stripes, "stripes"},
          {BackgroundKind::checker, "checker"},
          {BackgroundKind::clouds, "clouds"},
          {BackgroundKind::dots, "dots"}};
}

// Lengths are shares of the picture's side, heights 0 at the bottom and 1 at the top.
struct SynthObject {
  ShapeKind kind = ShapeKind::circle;
  MotionKind motion = MotionKind::glide;
  double hue = 0.0;     // [0, 1) around the colour circle, 0 is red
  double radius = 0.1;  // kMinRadius to kMaxRadius
  double base_height = 0.5;
  double sway = 0.05;           // the height stays within base_height +- sway
  double period_seconds = 1.0;  // of the hops, the swaying or the pulses
  double phase = 0.0;           // of the period at time 0, [0, 1)
  double start_x = 0.5;         // at time 0
  double speed_x = 0.1;         // sides a second; negative is to the left at time 0
  double tilt_radians = 0.0;
  // It is seen and heard from the one to the other; nothing: to the end.
  double appears_seconds = 0.0;
  std::optional<double> leaves_seconds = std::nullopt;

  // Steady scenes do not have them.
  static constexpr const char* kAbsentByDefault[] = {"appears_seconds", "leaves_seconds"};

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("kind", o.kind, "shape, heard as the timbre");
    v("motion", o.motion, "how it moves");
    v("hue", o.hue, "place on the colour circle, heard as vibrato and second voice");
    v("radius", o.radius, "size as a share of the side, heard as loudness");
    v("base_height", o.base_height, "middle of the height, heard as the pitch's register");
    v("sway", o.sway, "how far the height leaves its middle");
    v("period_seconds", o.period_seconds, "of the hops, the swaying or the pulses");
    v("phase", o.phase, "share of the period that has passed at the start");
    v("start_x", o.start_x, "place from left to right at the start");
    v("speed_x", o.speed_x, "sides a second");
    v("tilt_radians", o.tilt_radians, "by how much it is turned");
    v("appears_seconds", o.appears_seconds, "when it comes, with a beat");
    v("leaves_seconds", o.leaves_seconds, "when it goes");
  }
};

struct SynthBackground {
  BackgroundKind kind = BackgroundKind::gradient;
  double hue = 0.0;
  double second_hue = 0.5;
  double saturation = 0.2;
  double brightness = 0.4;  // kMinBrightness to kMaxBrightness, heard as the colour of the noise
  double contrast = 0.2;    // kMinContrast to kMaxContrast, heard as the level of the noise
  double cells = 4.0;       // stripes, squares, clouds or dots along a side
  double angle_radians = 0.0;

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("kind", o.kind, "pattern");
    v("hue", o.hue, "of the pattern's light parts");
    v("second_hue", o.second_hue, "of its dark parts");
    v("saturation", o.saturation, "of both");
    v("brightness", o.brightness, "mean, heard as the colour of the noise");
    v("contrast", o.contrast, "between light and dark, heard as the level of the noise");
    v("cells", o.cells, "repetitions along a side");
    v("angle_radians", o.angle_radians, "by how much the pattern is turned");
  }
};

struct SynthScene {
  std::vector<SynthObject> objects;  // 1 to 3, with events 4, of different kinds, hues and heights
  SynthBackground background;
  int64_t noise_seed = 0;  // of the noise and of the clouds

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("objects", o.objects, "what is seen and heard");
    v("background", o.background, "what is behind it");
    v("noise_seed", o.noise_seed, "of the noise and of the clouds");
  }
};

constexpr double kMinRadius = 0.085, kMaxRadius = 0.18;
constexpr double kMinBrightness = 0.15, kMaxBrightness = 0.8;
constexpr double kMinContrast = 0.08, kMaxContrast = 0.4;

// steady: the same objects from the beginning to the end. events: objects come and go one after another, so
// that every moment looks and sounds of its own.
enum class SceneKind { steady, events };
inline std::vector<std::pair<SceneKind, std::string>> option_names(SceneKind) {
  return {{SceneKind::steady, "steady"}, {SceneKind::events, "events"}};
}

// The scene of clip `index`; depends on these two numbers alone.
SynthScene draw_scene(int64_t seed, int64_t index);
// One with events over a clip of that length: depends on it besides. Four objects take turns of equal length,
// each up to 0.3 s longer at either end, so that neighbours overlap.
SynthScene draw_scene_with_events(int64_t seed, int64_t index, double clip_seconds);

// The kinds that are present, without repetition, in the order of the enum.
std::vector<std::string> scene_labels(const SynthScene& scene);

// ---- motion

struct SynthPlace {
  double x, height;
};
SynthPlace place_at(const SynthObject& object, double seconds);

bool is_present(const SynthObject& object, double seconds);

// The times in [0, until_seconds) when the object hits a wall, lands, pulses or appears after the beginning,
// ascending, while it is there: it is squashed and flashes, and is heard as a beat.
std::vector<double> beat_times(const SynthObject& object, double until_seconds);

// Length of a beat's fading, seen and heard: it is down to 1/e.
constexpr double kBeatDecaySeconds = 0.1;

// ---- the laws

double pitch_hz(double height);                       // 3.5 octaves from bottom to top, logarithmic
double loudness_db(const SynthObject& object);        // -12 (smallest) to 0 (largest)
double vibrato_hz(const SynthObject& object);         // 2 to 9, by the red of the hue
double harmony_semitones(const SynthObject& object);  // 3 to 9, by the green against the blue of the hue
double noise_cutoff_hz(const SynthBackground& background);  // 200 (dark) to 8000 (bright)
double noise_level_db(const SynthBackground& background);   // of full scale; -60 (flat) to -42 (contrasty)

}  // namespace cavmae
