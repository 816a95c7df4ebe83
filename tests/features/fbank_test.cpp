#include "cavmae/features/fbank.h"

#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/random.h"
#include "cavmae/features/fbank_plan.h"
#include "cavmae/media/media_reader.h"
#include "cavmae/tensorfile/safetensors.h"

#include "tests/support/media_tensors.h"

namespace cavmae {
namespace {

const std::string kGoldenSounds = std::string(CAVMAE_TEST_DATA) + "/golden/";

torch::Tensor golden_waveform(const std::string& name) {
  return audio_tensor(kGoldenSounds + "media/" + name + ".wav", {.duration_seconds = 60.0});
}

torch::Tensor noise(int64_t count, uint64_t seed) {
  Random random(seed);
  torch::Tensor samples = torch::empty({count}, torch::kFloat32);
  for (int64_t i = 0; i < count; ++i)
    samples.data_ptr<float>()[i] = static_cast<float>(random.uniform(-0.5, 0.5));
  return samples;
}

// The definition, in double precision: a naive Fourier transform and dense triangles.
std::vector<double> slow_frame(const std::vector<double>& frame, const FbankOptions& o) {
  const auto length = frame.size();
  double mean = 0.0;
  for (const double sample : frame) mean += sample / static_cast<double>(length);
  std::vector<double> windowed(length);
  for (size_t n = 0; n < length; ++n) {
    const double previous = frame[n == 0 ? 0 : n - 1] - mean;
    const double angle = 2.0 * std::numbers::pi * static_cast<double>(n) / static_cast<double>(length - 1);
    windowed[n] = (frame[n] - mean - o.preemphasis * previous) * (0.5 - 0.5 * std::cos(angle));
  }
  size_t size = 1;
  while (size < length) size *= 2;
  std::vector<double> power(size / 2);
  for (size_t k = 0; k < size / 2; ++k) {
    double re = 0.0, im = 0.0;
    for (size_t n = 0; n < length; ++n) {
      const double angle =
          2.0 * std::numbers::pi * static_cast<double>(k * n % size) / static_cast<double>(size);
      re += windowed[n] * std::cos(angle);
      im += windowed[n] * std::sin(angle);
    }
    power[k] = re * re + im * im;
  }
  const auto mel = [](double hz) { return 1127.0 * std::log(1.0 + hz / 700.0); };
  const auto rate = static_cast<double>(o.sample_rate_hz);
  const double step = (mel(rate / 2) - mel(20.0)) / static_cast<double>(o.num_mel_bins + 1);
  std::vector<double> bins;
  for (int64_t m = 0; m < o.num_mel_bins; ++m) {
    const double center = mel(20.0) + static_cast<double>(m + 1) * step;
    double sum = 0.0;
    for (size_t k = 0; k < size / 2; ++k) {
      const double at = mel(static_cast<double>(k) * rate / static_cast<double>(size));
      sum += std::max(0.0, 1.0 - std::abs(at - center) / step) * power[k];
    }
    bins.push_back(std::log(std::max(sum, 1.1920929e-07)));
  }
  return bins;
}

torch::Tensor slow_fbank(const torch::Tensor& waveform, const FbankOptions& o) {
  const auto rate = static_cast<double>(o.sample_rate_hz);
  const auto length = static_cast<int64_t>(rate * o.frame_length_ms / 1000.0);
  const auto shift = static_cast<int64_t>(rate * o.frame_shift_ms / 1000.0);
  const torch::Tensor samples = waveform.to(torch::kFloat64) - waveform.to(torch::kFloat64).mean();
  const double* data = samples.data_ptr<double>();
  std::vector<torch::Tensor> rows;
  for (int64_t start = 0; start + length <= samples.numel(); start += shift)
    rows.push_back(torch::tensor(slow_frame({data + start, data + start + length}, o), torch::kFloat64));
  return at::stack(rows);
}

class FbankGolden : public testing::TestWithParam<std::string> {};

TEST_P(FbankGolden, MatchesTorchaudio) {
  const TensorFile golden = read_safetensors(kGoldenSounds + "fbank.safetensors");
  const torch::Tensor expected = golden.at(GetParam() + ".fbank");
  const torch::Tensor actual = Fbank().compute(golden_waveform(GetParam()));
  ASSERT_EQ(actual.sizes(), expected.sizes());
  const torch::Tensor error = (actual - expected).abs();
  EXPECT_LT(error.max().item<float>(), 1e-3f);
  EXPECT_LT(error.mean().item<float>(), 1e-5f);
}

INSTANTIATE_TEST_SUITE_P(Clips, FbankGolden,
                         testing::Values("chirp_10.3s_16k", "short_0.3s_16k", "silence_2s_16k",
                                         "stereo_2s_16k"),
                         [](const auto& clip) { return clip.param.substr(0, clip.param.find('_')); });

TEST(Fbank, ModelInputIsPaddedAfterTheLogAndNormalised) {
  // The padding is stored once: as the last row.
  const torch::Tensor stored =
      read_safetensors(kGoldenSounds + "fbank.safetensors").at("short_0.3s_16k.input");
  const int64_t rows = stored.size(0);
  const torch::Tensor padding = stored.narrow(0, rows - 1, 1).expand({1024 - rows, 128});
  const torch::Tensor expected = at::cat({stored, padding});
  const torch::Tensor fbank = fit_frames(Fbank().compute(golden_waveform("short_0.3s_16k")), 1024);
  const torch::Tensor actual = (fbank + 5.081) / 4.4849;
  EXPECT_LT((actual - expected).abs().max().item<float>(), 1e-3f);
}

TEST(Fbank, EqualsTheDefinitionAtOtherRatesAndSizes) {
  for (const int64_t rate : {8000, 11025, 16000, 22050, 44100}) {
    const FbankOptions options{.sample_rate_hz = rate, .num_mel_bins = rate == 11025 ? 23 : 40};
    const torch::Tensor waveform = noise(rate / 5 + 37, 3);
    const torch::Tensor actual = Fbank(options).compute(waveform);
    const torch::Tensor expected = slow_fbank(waveform, options);
    ASSERT_EQ(actual.sizes(), expected.sizes()) << rate;
    EXPECT_LT((actual - expected).abs().max().item<double>(), 2e-4) << rate;
  }
}

TEST(Fbank, EveryVersionAgreesForAnyNumberOfFrames) {
  const FbankPlan plan = make_fbank_plan({.window = std::vector<float>(400, 0.5f)});
  const torch::Tensor waveform = noise(400 + 160 * 20, 5);
  const torch::Tensor scratch = torch::empty({scratch_floats(plan)});
  for (int64_t frames = 1; frames <= 20; ++frames) {
    torch::Tensor first = torch::zeros({frames + 1, 128});
    FbankTask task{.waveform = waveform.data_ptr<float>(),
                   .num_frames = frames,
                   .scratch = scratch.data_ptr<float>(),
                   .out = first.data_ptr<float>()};
    compute_fbank_baseline(plan, task);
    for (const FbankKernel* kernel : usable_fbank_kernels()) {
      torch::Tensor second = torch::zeros({frames + 1, 128});
      task.out = second.data_ptr<float>();
      kernel->functions(plan, task);
      EXPECT_LT((first - second).abs().max().item<float>(), 1e-4f) << kernel->name;
    }
    EXPECT_EQ(first[frames].abs().max().item<float>(), 0.0f) << "a row past the end was written";
    EXPECT_LT(first.narrow(0, 0, frames).max().item<float>(), 20.0f);
  }
}

TEST(Fbank, AClipBelowOneWindowHasNoFrames) {
  for (const int64_t count : {0, 1, 320, 399}) {
    const torch::Tensor fbank = Fbank().compute(torch::zeros({count}));
    EXPECT_THAT(fbank.sizes(), testing::ElementsAre(0, 128));
    EXPECT_EQ(fit_frames(fbank, 64).abs().sum().item<float>(), 0.0f);
  }
  EXPECT_EQ(Fbank().compute(torch::zeros({400})).size(0), 1);
  EXPECT_EQ(Fbank().compute(golden_waveform("tiny_20ms_16k")).size(0), 0);
}

TEST(Fbank, AConstantOffsetChangesNothing) {
  const torch::Tensor waveform = noise(8000, 9);
  const torch::Tensor error = Fbank().compute(waveform) - Fbank().compute(waveform + 0.25);
  EXPECT_LT(error.abs().max().item<float>(), 1e-3f);
}

TEST(Fbank, RefusesWhatIsNotSound) {
  torch::Tensor waveform = torch::zeros({1600});
  waveform[7] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(Fbank().compute(waveform), MediaError);
  EXPECT_THROW(Fbank().compute(torch::zeros({2, 1600})), Error);
  EXPECT_THROW(Fbank({.num_mel_bins = 0}), ConfigError);
  EXPECT_THROW(Fbank({.frame_shift_ms = 0.0}), ConfigError);
}

TEST(FitFrames, PadsWithZerosOrCuts) {
  const torch::Tensor fbank = at::arange(12, torch::kFloat32).view({3, 4}) + 1;
  EXPECT_TRUE(at::equal(fit_frames(fbank, 2), fbank.slice(0, 0, 2)));
  EXPECT_TRUE(at::equal(fit_frames(fbank, 3), fbank));
  const torch::Tensor padded = fit_frames(fbank, 5);
  EXPECT_TRUE(at::equal(padded.slice(0, 0, 3), fbank));
  EXPECT_EQ(padded.slice(0, 3, 5).abs().sum().item<float>(), 0.0f);
}

}  // namespace
}  // namespace cavmae
