// Small media files, feature sizes and logs for the tests of cavmae/data.
#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include "cavmae/core/log.h"
#include "cavmae/core/torch.h"
#include "cavmae/data/clip_reader.h"
#include "cavmae/media/image_writer.h"

#include "tests/support/media_tensors.h"
#include "tests/support/program.h"

namespace cavmae {

inline void write_text(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// A sine in 16 bits.
inline void write_wav(const std::filesystem::path& path, double seconds, double pitch_hz,
                      uint32_t rate_hz = 16000) {
  const auto n = static_cast<uint32_t>(seconds * rate_hz);
  std::string bytes;
  const auto put = [&](auto value) { bytes.append(reinterpret_cast<const char*>(&value), sizeof(value)); };
  bytes += "RIFF", put(uint32_t{36 + 2 * n}), bytes += "WAVEfmt ", put(uint32_t{16}), put(uint16_t{1});
  put(uint16_t{1}), put(rate_hz), put(uint32_t{2 * rate_hz}), put(uint16_t{2}), put(uint16_t{16});
  bytes += "data", put(uint32_t{2 * n});
  for (uint32_t i = 0; i < n; ++i)
    put(static_cast<int16_t>(8000 * std::sin(2 * 3.14159265358979 * pitch_hz * i / rate_hz)));
  write_text(path, bytes);
}

inline void write_flat_png(const std::filesystem::path& path, int64_t grey, int64_t side = 40) {
  std::filesystem::create_directories(path.parent_path());
  write_png(path, torch::full({side, side, 3}, grey, torch::kUInt8));
}

// A video whose picture is a moving pattern, by the ffmpeg program. `more` are its further arguments.
inline void write_video(const std::filesystem::path& path, double seconds, const std::string& more = "",
                        const std::string& sound = "sine=f=440:r=16000") {
  std::ostringstream command;
  command << "ffmpeg -nostdin -v error -y -f lavfi -i testsrc2=s=96x64:r=10 ";
  if (!sound.empty()) command << "-f lavfi -i " << sound << " ";
  command << "-t " << seconds << " " << more << " '" << path.string() << "'";
  const auto outcome = testing_support::run_shell(command.str());
  ASSERT_EQ(outcome.exit_code, 0) << command.str() << "\n" << outcome.err;
}

// Sizes small enough for hundreds of clips a second; the window is two seconds.
inline InputSpec tiny_features() {
  InputSpec spec;
  spec.num_fbank_frames = 208;
  spec.num_mel_bins = 32;
  spec.image_size = 32;
  spec.window_seconds = 2.0;
  return spec;
}

// A log whose lines can be looked at.
struct CapturedLog {
  std::shared_ptr<std::ostringstream> text = std::make_shared<std::ostringstream>();
  std::shared_ptr<Log> log =
      std::make_shared<Log>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(*text, true));
};

// Same type, same shape, same bytes; both undefined is equal too.
inline bool same_bits(const torch::Tensor& a, const torch::Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  return a.dtype() == b.dtype() && a.sizes() == b.sizes() && at::equal(a, b);
}

}  // namespace cavmae
