#include "cavmae/media/audio_samples.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

// A sample as a float in [-1, 1]. Powers of two only, so that 16 bits stay exact.
float to_float(uint8_t sample) {
  return static_cast<float>(sample - 128) * 0x1p-7f;
}
float to_float(int16_t sample) {
  return static_cast<float>(sample) * 0x1p-15f;
}
float to_float(int32_t sample) {
  return static_cast<float>(sample) * 0x1p-31f;
}
float to_float(int64_t sample) {
  return static_cast<float>(sample) * 0x1p-63f;
}
float to_float(float sample) {
  return sample;
}
float to_float(double sample) {
  return static_cast<float>(sample);
}

struct SampleRange {
  int64_t first = 0, count = 0;
};

template <class Sample>
void copy_typed(const AVFrame& frame, ChannelMix channels, SampleRange range, float* out) {
  const bool planar = av_sample_fmt_is_planar(static_cast<AVSampleFormat>(frame.format)) != 0;
  const int64_t num_channels = frame.ch_layout.nb_channels;
  const int64_t stride = planar ? 1 : num_channels;
  const auto channel = [&](int64_t c) {
    const auto* data = reinterpret_cast<const Sample*>(frame.extended_data[planar ? c : 0]);
    return data + range.first * stride + (planar ? 0 : c);
  };
  const Sample* source = channel(0);
  for (int64_t i = 0; i < range.count; ++i) out[i] = to_float(source[i * stride]);
  if (channels == ChannelMix::first || num_channels == 1) return;
  for (int64_t c = 1; c < num_channels; ++c) {
    source = channel(c);
    for (int64_t i = 0; i < range.count; ++i) {
      const float sample = to_float(source[i * stride]);
      if (channels == ChannelMix::mean)
        out[i] += sample;
      else if (std::abs(sample) > std::abs(out[i]))
        out[i] = sample;
    }
  }
  if (channels == ChannelMix::loudest) return;
  const float scale = 1.0f / static_cast<float>(num_channels);
  for (int64_t i = 0; i < range.count; ++i) out[i] *= scale;
}

ffmpeg::Resampler make_resampler(int64_t from_hz, int64_t to_hz) {
  AVChannelLayout mono = AV_CHANNEL_LAYOUT_MONO;
  SwrContext* raw = nullptr;
  const int result = swr_alloc_set_opts2(&raw, &mono, AV_SAMPLE_FMT_FLTP, static_cast<int>(to_hz), &mono,
                                         AV_SAMPLE_FMT_FLTP, static_cast<int>(from_hz), 0, nullptr);
  ffmpeg::Resampler resampler(raw);
  CAVMAE_CHECK_AS(MediaError, result >= 0 && swr_init(resampler.get()) >= 0, "cannot resample from ", from_hz,
                  " Hz to ", to_hz, " Hz; choose a rate between 1000 and 384000 Hz");
  return resampler;
}

}  // namespace

bool copy_mono(const AVFrame& frame, ChannelMix channels, int64_t first, int64_t count, float* out) {
  const SampleRange range{.first = first, .count = count};
  switch (av_get_packed_sample_fmt(static_cast<AVSampleFormat>(frame.format))) {
    case AV_SAMPLE_FMT_U8:
      copy_typed<uint8_t>(frame, channels, range, out);
      return true;
    case AV_SAMPLE_FMT_S16:
      copy_typed<int16_t>(frame, channels, range, out);
      return true;
    case AV_SAMPLE_FMT_S32:
      copy_typed<int32_t>(frame, channels, range, out);
      return true;
    case AV_SAMPLE_FMT_S64:
      copy_typed<int64_t>(frame, channels, range, out);
      return true;
    case AV_SAMPLE_FMT_FLT:
      copy_typed<float>(frame, channels, range, out);
      return true;
    case AV_SAMPLE_FMT_DBL:
      copy_typed<double>(frame, channels, range, out);
      return true;
    default:
      return false;
  }
}

std::vector<float> resample(const std::vector<float>& samples, int64_t from_hz, int64_t to_hz) {
  constexpr size_t kChunk = 1 << 20;  // FFmpeg counts samples in int
  const ffmpeg::Resampler resampler = make_resampler(from_hz, to_hz);
  std::vector<float> out;
  size_t filled = 0;
  // A null input asks for what the filter still holds.
  const auto convert = [&](const float* input, size_t count) {
    const auto room = swr_get_out_samples(resampler.get(), static_cast<int>(count));
    if (room <= 0) return;
    out.resize(filled + static_cast<size_t>(room));
    auto* target = reinterpret_cast<uint8_t*>(out.data() + filled);
    const auto* source = reinterpret_cast<const uint8_t*>(input);
    const int made = swr_convert(resampler.get(), &target, room, input == nullptr ? nullptr : &source,
                                 static_cast<int>(count));
    if (made < 0) throw std::bad_alloc();
    filled += static_cast<size_t>(made);
  };
  for (size_t start = 0; start < samples.size(); start += kChunk)
    convert(samples.data() + start, std::min(kChunk, samples.size() - start));
  convert(nullptr, 0);
  out.resize(filled);
  return out;
}

}  // namespace cavmae
