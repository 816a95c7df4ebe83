#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "cavmae/core/random.h"
#include "cavmae/synth/synth.h"

namespace cavmae {
namespace {

constexpr double kSynthRateHz = static_cast<double>(kSynthSampleRateHz);
// Pitch and loudness are set anew this often (1 ms); within a block they are held.
constexpr int64_t kBlock = 16;
// Root mean square of the loudest object between its beats: three of them together hardly ever clip.
constexpr double kFullLevel = 0.07;
constexpr double kHarmonyLevel = 0.6;  // of the second voice, against the first
// A voice wavers in pitch and in loudness at once, as a singer's does.
constexpr double kVibratoSemitones = 0.5;
constexpr double kTremolo = 0.45;

struct Partial {
  double ratio;  // of the fundamental
  double amplitude;
};

// The partials of a timbre. The lowest five ratios tell the kinds apart also where the higher ones are beyond
// what the sample rate holds.
std::vector<Partial> timbre_of(ShapeKind kind) {
  std::vector<Partial> partials;
  switch (kind) {
    case ShapeKind::circle:  // a pure tone
      return {{1, 1.0}};
    case ShapeKind::square:  // hollow: odd harmonics
      for (int n = 1; n <= 11; n += 2) partials.push_back({static_cast<double>(n), 1.0 / n});
      return partials;
    case ShapeKind::triangle:  // a saw: all harmonics
      for (int n = 1; n <= 10; ++n) partials.push_back({static_cast<double>(n), 1.0 / std::sqrt(n)});
      return partials;
    case ShapeKind::star:  // a bell: the partials of a free bar
      return {{1, 1.0}, {2.76, 0.8}, {5.40, 0.6}, {8.93, 0.4}};
    case ShapeKind::ring:  // an organ: octaves
      return {{1, 1.0}, {2, 1.0}, {4, 0.8}, {8, 0.6}};
    case ShapeKind::cross:  // a reed: nasal, hardly any fundamental
      return {{1, 0.2}, {3, 1.0}, {4, 1.0}, {5, 0.8}, {6, 0.5}};
    case ShapeKind::diamond:  // glass: low and high, nothing between
      return {{1, 1.0}, {4, 0.7}, {5, 0.9}};
    case ShapeKind::crescent:  // breath: bands of noise instead of lines
      return {{1, 1.0}, {2, 0.5}, {3, 0.35}};
  }
  return partials;
}

// The sine of a phase counted in cycles, from a table.
class Sine {
 public:
  Sine() {
    for (size_t i = 0; i < table_.size(); ++i)
      table_[i] = static_cast<float>(std::sin(2.0 * std::numbers::pi * static_cast<double>(i) / kSize));
  }
  // cycles >= 0
  float operator()(double cycles) const {
    const double place = (cycles - static_cast<double>(static_cast<int64_t>(cycles))) * kSize;
    const auto i = static_cast<size_t>(place);
    const auto t = static_cast<float>(place - static_cast<double>(i));
    return table_[i] + t * (table_[i + 1] - table_[i]);
  }

 private:
  static constexpr int kSize = 1024;
  std::array<float, kSize + 2> table_;
};

// Nearly normal: three uniform numbers, much cheaper. Variance 1.
double white_noise(Random& random) {
  return 2.0 * (random.uniform() + random.uniform() + random.uniform()) - 3.0;
}

double pole_at(double cutoff_hz) {
  return std::exp(-2.0 * std::numbers::pi * cutoff_hz / kSynthRateHz);
}

// White noise through a one-pole low pass that keeps the variance at 1.
class ColouredNoise {
 public:
  ColouredNoise(Random& random, double cutoff_hz)
      : random_(random), pole_(pole_at(cutoff_hz)), gain_(std::sqrt(1.0 - pole_ * pole_)) {}
  double next() { return last_ = pole_ * last_ + gain_ * white_noise(random_); }

 private:
  Random& random_;
  double pole_, gain_, last_ = 0.0;
};

// The same with a double pole, whose skirts fall off fast enough not to cover other voices.
class Breath {
 public:
  Breath(Random& random, double cutoff_hz) : random_(random), pole_(pole_at(cutoff_hz)) {
    const double rest = 1.0 - pole_ * pole_;
    gain_ = std::sqrt(rest * rest * rest / (1.0 + pole_ * pole_));
  }
  double next() {
    first_ = pole_ * first_ + gain_ * white_noise(random_);
    return second_ = pole_ * second_ + first_;
  }

 private:
  Random& random_;
  double pole_, gain_, first_ = 0.0, second_ = 0.0;
};

// An object's voice, added to `out` block by block.
class Voice {
 public:
  Voice(const SynthObject& object, double seconds, Random& random)
      : object_(object),
        beats_(beat_times(object, seconds)),
        partials_(timbre_of(object.kind)),
        gain_(kFullLevel * std::pow(10.0, loudness_db(object) / 20.0)),
        harmony_ratio_(std::exp2(harmony_semitones(object) / 12.0)),
        vibrato_phase_(random.uniform()),
        random_(random),
        breath_(random, 50.0) {
    // Whatever the timbre, both voices together have the root mean square `gain_`.
    double power = 0.0;
    for (const Partial& p : partials_) power += 0.5 * p.amplitude * p.amplitude;
    for (Partial& p : partials_) p.amplitude /= std::sqrt(2.0 * power);
    gain_ /= std::sqrt(0.5 * (1.0 + kHarmonyLevel * kHarmonyLevel) * (1.0 + 0.5 * kTremolo * kTremolo));
  }

  void add_to(std::vector<float>& out) {
    const auto size = static_cast<int64_t>(out.size());
    for (int64_t begin = 0; begin < size; begin += kBlock)
      add_block(begin, std::min(kBlock, size - begin), out.data() + begin);
    add_clicks(out);
  }

 private:
  // Between beats at the object's own loudness, a good deal louder at a beat.
  double accent_at(double seconds) {
    while (next_beat_ < beats_.size() && beats_[next_beat_] <= seconds) ++next_beat_;
    if (next_beat_ == 0) return 1.0;
    return 1.0 + 1.2 * std::exp((beats_[next_beat_ - 1] - seconds) / kBeatDecaySeconds);
  }

  void add_block(int64_t begin, int64_t count, float* out) {
    static const Sine sine;
    const double seconds = static_cast<double>(begin) / kSynthRateHz;
    const double waver = std::sin(2.0 * std::numbers::pi * (vibrato_phase_ + vibrato_hz(object_) * seconds));
    const double pitch =
        pitch_hz(place_at(object_, seconds).height) * std::exp2(kVibratoSemitones * waver / 12.0);
    const double advance = pitch / kSynthRateHz;
    const double presence = is_present(object_, seconds) ? 1.0 : 0.0;
    const double level = presence * gain_ * (1.0 + kTremolo * waver) * accent_at(seconds);
    std::array<float, kBlock> sum{};
    for (const Partial& p : partials_) {
      const auto amplitude = static_cast<float>(level * p.amplitude * audible_share(p.ratio * pitch));
      if (amplitude == 0.0f) continue;
      for (int64_t n = 0; n < count; ++n)
        sum[static_cast<size_t>(n)] +=
            amplitude * sine(p.ratio * (cycles_ + advance * static_cast<double>(n)));
    }
    if (object_.kind == ShapeKind::crescent) {
      // Slow noise instead of a steady amplitude turns each partial into a band.
      for (int64_t n = 0; n < count; ++n) sum[static_cast<size_t>(n)] *= static_cast<float>(breath_.next());
    }
    const auto harmony = static_cast<float>(level * kHarmonyLevel);
    for (int64_t n = 0; n < count; ++n) {
      const double cycles = harmony_ratio_ * (cycles_ + advance * static_cast<double>(n));
      out[n] += sum[static_cast<size_t>(n)] + harmony * sine(cycles);
    }
    cycles_ += advance * static_cast<double>(count);
  }

  // Partials fade out below the highest frequency that the sample rate holds.
  static double audible_share(double hz) { return std::clamp((7700.0 - hz) / 600.0, 0.0, 1.0); }

  // A short burst of noise at each beat, in proportion to the object's loudness.
  void add_clicks(std::vector<float>& out) {
    constexpr int64_t kClickSamples = 480;
    constexpr double kClickDecaySamples = 100.0;
    for (const double beat : beats_) {
      const auto begin = static_cast<int64_t>(beat * kSynthRateHz);
      const int64_t end = std::min(begin + kClickSamples, static_cast<int64_t>(out.size()));
      for (int64_t n = begin; n < end; ++n) {
        const double fade = std::exp(-static_cast<double>(n - begin) / kClickDecaySamples);
        out[static_cast<size_t>(n)] += static_cast<float>(1.5 * gain_ * fade * random_.uniform(-1.0, 1.0));
      }
    }
  }

  const SynthObject& object_;
  std::vector<double> beats_;
  std::vector<Partial> partials_;
  double gain_, harmony_ratio_, vibrato_phase_;
  Random& random_;
  Breath breath_;
  size_t next_beat_ = 0;
  double cycles_ = 0.0;  // of the fundamental so far
};

}  // namespace

torch::Tensor render_audio(const SynthScene& scene, const SynthOptions& options) {
  const auto count = static_cast<size_t>(std::llround(options.clip_seconds * kSynthRateHz));
  std::vector<float> sum(count, 0.0f);
  for (size_t i = 0; i < scene.objects.size(); ++i) {
    Random random({static_cast<uint64_t>(scene.noise_seed), 0x501ce, i});
    Voice(scene.objects[i], options.clip_seconds, random).add_to(sum);
  }
  Random random({static_cast<uint64_t>(scene.noise_seed), 0x2015e});
  ColouredNoise noise(random, noise_cutoff_hz(scene.background));
  const double level = std::pow(10.0, noise_level_db(scene.background) / 20.0);
  torch::Tensor wave = torch::empty({static_cast<int64_t>(count)}, torch::kFloat);
  float* out = wave.data_ptr<float>();
  for (size_t n = 0; n < count; ++n)
    out[n] = std::clamp(sum[n] + static_cast<float>(level * noise.next()), -1.0f, 1.0f);
  return wave;
}

}  // namespace cavmae
