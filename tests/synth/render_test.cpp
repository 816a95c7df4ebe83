// What the generator's sounds and pictures hold, measured from them.
#include <cmath>
#include <numbers>

#include <gtest/gtest.h>

#include "cavmae/synth/synth.h"

namespace cavmae {
namespace {

// One object in front of a nearly even, nearly silent background.
SynthScene scene_of(const SynthObject& object) {
  SynthScene scene;
  scene.objects = {object};
  scene.background = {.saturation = 0.0, .brightness = 0.3, .contrast = kMinContrast};
  scene.noise_seed = 5;
  return scene;
}

SynthObject still_object() {
  return {.motion = MotionKind::glide, .radius = 0.15, .sway = 0.0, .speed_x = 0.0};
}

// The power at one frequency in samples [begin, begin + 4000) under a Hann window (Goertzel's sum, written
// out).
double power_at(const torch::Tensor& wave, int64_t begin, double hz) {
  constexpr int64_t kSamples = 4000;
  const auto samples = wave.accessor<float, 1>();
  double re = 0.0, im = 0.0;
  for (int64_t n = 0; n < kSamples; ++n) {
    const double t = 2.0 * std::numbers::pi * static_cast<double>(n);
    const double x = samples[begin + n] * (0.5 - 0.5 * std::cos(t / kSamples));
    re += x * std::cos(t * hz / kSynthSampleRateHz);
    im += x * std::sin(t * hz / kSynthSampleRateHz);
  }
  return re * re + im * im;
}

// The loudest frequency between 120 and 2000 Hz, in steps of half a semitone.
double loudest_hz(const torch::Tensor& wave, int64_t begin) {
  double best = 0.0, best_power = -1.0;
  for (double hz = 120.0; hz < 2000.0; hz *= std::exp2(1.0 / 24.0)) {
    const double power = power_at(wave, begin, hz);
    if (power > best_power) best_power = power, best = hz;
  }
  return best;
}

double rms(const torch::Tensor& wave) {
  return std::sqrt(wave.pow(2).mean().item<double>());
}

TEST(SynthSound, PitchFollowsTheHeight) {
  SynthObject object = still_object();
  for (const double height : {0.2, 0.35, 0.5, 0.65, 0.8}) {
    object.base_height = height;
    const torch::Tensor wave = render_audio(scene_of(object), {});
    const double semitones = 12.0 * std::log2(loudest_hz(wave, 20000) / pitch_hz(height));
    EXPECT_LT(std::abs(semitones), 1.0) << "height " << height;
  }
}

TEST(SynthSound, PitchFollowsTheHeightInTime) {
  SynthObject object = still_object();
  object.sway = 0.07;
  object.period_seconds = 4.0;  // highest at 1 s, lowest at 3 s
  const torch::Tensor wave = render_audio(scene_of(object), {});
  const double octaves = std::log2(loudest_hz(wave, 14000) / loudest_hz(wave, 46000));
  EXPECT_NEAR(octaves, 3.5 * 0.14, 0.1);
}

TEST(SynthSound, LoudnessFollowsTheSize) {
  for (int64_t kind = 0; kind < kNumShapeKinds; ++kind) {
    SynthObject object = still_object();
    object.kind = static_cast<ShapeKind>(kind);
    object.radius = kMaxRadius;
    const double loud = rms(render_audio(scene_of(object), {}));
    object.radius = kMinRadius;
    const double quiet = rms(render_audio(scene_of(object), {}));
    EXPECT_NEAR(20.0 * std::log10(loud / quiet), 12.0, 0.5) << "kind " << kind;
    // The kinds are equally loud, but for the breath's wavering.
    EXPECT_NEAR(20.0 * std::log10(loud / 0.07), 0.0, 1.5) << "kind " << kind;
  }
}

TEST(SynthSound, EveryKindHasItsOwnSpectrum) {
  std::vector<torch::Tensor> spectra;
  for (int64_t kind = 0; kind < kNumShapeKinds; ++kind) {
    SynthObject object = still_object();
    object.kind = static_cast<ShapeKind>(kind);
    const torch::Tensor wave = render_audio(scene_of(object), {});
    torch::Tensor spectrum = torch::empty({120});
    for (int64_t i = 0; i < 120; ++i)
      spectrum[i] = std::log(1e-3 + power_at(wave, 20000, 200.0 + 30.0 * static_cast<double>(i)));
    spectra.push_back(spectrum);
    for (size_t other = 0; other + 1 < spectra.size(); ++other)
      EXPECT_GT((spectrum - spectra[other]).abs().mean().item<double>(), 0.7) << kind << " like " << other;
  }
}

TEST(SynthSound, HueIsHeardAsASecondVoice) {
  SynthObject object = still_object();
  const double pitch = pitch_hz(object.base_height);
  for (const double hue : {0.25, 0.75}) {
    object.hue = hue;
    const torch::Tensor wave = render_audio(scene_of(object), {});
    const double second = pitch * std::exp2(harmony_semitones(object) / 12.0);
    const double absent = pitch * std::exp2((12.0 - harmony_semitones(object)) / 12.0);
    EXPECT_GT(power_at(wave, 20000, second), 20.0 * power_at(wave, 20000, absent)) << "hue " << hue;
  }
}

TEST(SynthSound, ABounceIsABeat) {
  SynthObject object = still_object();
  object.motion = MotionKind::pulse;
  object.period_seconds = 0.9;
  object.phase = 0.5;
  const torch::Tensor wave = render_audio(scene_of(object), {});
  // A period of the tremolo before and after, so that it does not count.
  const auto window = static_cast<int64_t>(kSynthSampleRateHz / vibrato_hz(object));
  for (const double beat : beat_times(object, 4.0)) {
    const auto at = static_cast<int64_t>(beat * kSynthSampleRateHz);
    EXPECT_GT(rms(wave.slice(0, at, at + window)), 1.4 * rms(wave.slice(0, at - window, at)))
        << "at " << beat;
  }
}

TEST(SynthSound, BackgroundIsHeardAsNoise) {
  SynthScene scene = scene_of(still_object());
  scene.objects.clear();
  const double quiet = rms(render_audio(scene, {}));
  scene.background.contrast = kMaxContrast;
  const double loud = rms(render_audio(scene, {}));
  EXPECT_NEAR(20.0 * std::log10(quiet), -60.0, 1.0);
  EXPECT_NEAR(20.0 * std::log10(loud), -42.0, 1.0);
}

TEST(SynthSound, NothingIsClippedAndNothingIsSilent) {
  for (int64_t i = 0; i < 40; ++i) {
    const torch::Tensor wave = render_audio(draw_scene(4, i), {.clip_seconds = 1.0});
    EXPECT_EQ(wave.numel(), 16000);
    EXPECT_LT(wave.abs().ge(1.0).to(torch::kFloat).mean().item<float>(), 1e-3f) << "clip " << i;
    EXPECT_GT(rms(wave), 0.01) << "clip " << i;
  }
}

TEST(SynthPicture, ShowsTheObjectWhereItIs) {
  SynthObject object = still_object();  // a red circle
  object.base_height = 0.7;
  object.start_x = 0.3;
  const auto frames = render_frames(scene_of(object), {});
  ASSERT_EQ(frames.size(), 48u);
  const torch::Tensor& frame = frames[24];
  EXPECT_EQ(frame.sizes(), torch::IntArrayRef({96, 96, 3}));
  const torch::Tensor centre = frame[static_cast<int64_t>(0.3 * 96)][static_cast<int64_t>(0.3 * 96)];
  EXPECT_GT(centre[0].item<int>(), 200);
  EXPECT_LT(centre[1].item<int>(), 60);
  // The area of the disc in pixels, counted by its red.
  const auto red = frame.select(2, 0).to(torch::kInt) - frame.select(2, 1).to(torch::kInt);
  const double area = std::numbers::pi * 0.15 * 0.15 * 96.0 * 96.0;
  EXPECT_NEAR(red.gt(30).sum().item<double>(), area, 0.08 * area);
}

TEST(SynthEvents, AnObjectThatIsNotThereIsNeitherSeenNorHeard) {
  const SynthOptions options{.clip_seconds = 3.0, .frame_rate_hz = 10};
  SynthObject object = still_object();
  object.appears_seconds = 1.0;
  object.leaves_seconds = 2.0;
  const SynthScene scene = scene_of(object);
  SynthScene empty = scene;
  empty.objects.clear();
  const auto frames = render_frames(scene, options), nothing = render_frames(empty, options);
  ASSERT_EQ(frames.size(), 30U);
  for (size_t i = 0; i < frames.size(); ++i)
    EXPECT_EQ(frames[i].equal(nothing[i]), i < 10 || i >= 20) << "picture " << i;
  const torch::Tensor wave = render_audio(scene, options), silence = render_audio(empty, options);
  const auto equal = [&](double from, double to) {
    const auto begin = static_cast<int64_t>(from * kSynthSampleRateHz);
    const auto count = static_cast<int64_t>(to * kSynthSampleRateHz) - begin;
    return wave.narrow(0, begin, count).equal(silence.narrow(0, begin, count));
  };
  EXPECT_TRUE(equal(0.0, 0.99));
  EXPECT_TRUE(equal(2.05, 3.0)) << "the last beat may fade a little longer";
  for (double t = 1.0; t < 1.95; t += 0.1) EXPECT_FALSE(equal(t, t + 0.05)) << t;
  EXPECT_GT(rms(wave.narrow(0, 16000, 16000)), 10 * rms(silence));
}

TEST(SynthPicture, ChangesWithTimeOnlyWhereSomethingMoves) {
  const SynthObject still = still_object();
  const auto frozen = render_frames(scene_of(still), {});
  EXPECT_TRUE(frozen.front().equal(frozen.back()));
  SynthObject moving = still;
  moving.speed_x = 0.5;
  const auto frames = render_frames(scene_of(moving), {});
  EXPECT_FALSE(frames[0].equal(frames[6]));
  EXPECT_TRUE(frames[0][0].equal(frames[6][0]));  // the top row is background alone
}

TEST(SynthPicture, AllSizesKindsAndPatternsAreDrawn) {
  for (const int64_t side : {32, 160}) {
    for (int64_t i = 0; i < 20; ++i) {
      const auto frames =
          render_frames(draw_scene(5, i), {.clip_seconds = 0.5, .image_size_px = side, .frame_rate_hz = 4});
      ASSERT_EQ(frames.size(), 2u);
      EXPECT_EQ(frames[0].sizes(), torch::IntArrayRef({side, side, 3}));
      EXPECT_GT(frames[0].to(torch::kFloat).std().item<float>(), 3.0f);
    }
  }
}

}  // namespace
}  // namespace cavmae
