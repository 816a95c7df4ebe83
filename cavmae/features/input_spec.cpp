#include "cavmae/features/input_spec.h"

#include <cmath>

#include "cavmae/core/options.h"

namespace cavmae {

void InputSpec::validate() const {
  Problems problems;
  const auto in_range = [&](const char* name, int64_t value, int64_t low, int64_t high) {
    problems.require(value >= low && value <= high, name, " is ", value, "; allowed are ", low, " to ", high);
  };
  in_range("num_fbank_frames", num_fbank_frames, 1, 1'000'000);
  in_range("num_mel_bins", num_mel_bins, 4, 1024);
  in_range("image_size", image_size, 8, 4096);
  in_range("num_frames", num_frames, 1, 1000);
  problems.require(std::isfinite(window_seconds) && window_seconds >= 0.025 && window_seconds <= 3600,
                   "window_seconds is ", window_seconds, "; allowed are 0.025 to 3600");
  problems.require(std::isfinite(fbank_mean), "fbank_mean is ", fbank_mean, "; it must be finite");
  problems.require(std::isfinite(fbank_std) && fbank_std > 0, "fbank_std is ", fbank_std,
                   "; it must be finite and above 0");
  in_range("sample_rate_hz", sample_rate_hz, 1000, 384'000);
  problems.require(!audio_track || *audio_track >= 0, "audio_track is ", audio_track.value_or(0),
                   "; the first one is 0 ('none': the default one that can be decoded)");
  if (alignment == Alignment::picture)
    problems.require(audio_window_frames >= 1 && audio_window_frames <= num_fbank_frames,
                     "audio_window_frames is ", audio_window_frames,
                     "; with alignment picture it must be 1 to num_fbank_frames (", num_fbank_frames, ")");
  else
    problems.require(audio_window_frames == 0, "audio_window_frames is ", audio_window_frames,
                     "; with alignment clip it must be 0 (give --alignment picture)");
  problems.throw_if_any("features");
}

}  // namespace cavmae
