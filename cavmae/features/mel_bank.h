// Kaldi's triangular mel filters, stored as the span of Fourier bins that each one weighs. Free functions;
// safe from several threads.
#pragma once

#include <cstdint>
#include <vector>

namespace cavmae {

struct MelBank {
  struct Span {
    int32_t first_bin = 0;  // of the Fourier transform
    int32_t num_bins = 0;   // may be 0: narrow filters fall between two Fourier bins
    int32_t weights = 0;    // where its weights start
  };
  std::vector<Span> spans;     // one a mel bin
  std::vector<float> weights;  // of all spans, one after another
};

struct MelBankOptions {
  int64_t num_mel_bins = 128;
  int64_t fft_size = 512;
  double sample_rate_hz = 16000.0;
  double low_hz = 20.0;  // the highest frequency is half the sample rate
};

// mel(f) = 1127 ln(1 + f / 700); the filters are triangles in mel, evenly spaced from low_hz to half the
// rate.
MelBank make_mel_bank(const MelBankOptions& options);

// Where a frequency lies among the mel bins: m for the middle of bin m, fractions between.
double mel_bin_at(double frequency_hz, const MelBankOptions& options);

}  // namespace cavmae
