// Media files made for the tests by the ffmpeg program, in a folder that goes away. Belongs to one thread.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "cavmae/core/files.h"
#include "cavmae/core/random.h"
#include "cavmae/core/torch.h"

#include "tests/support/tools.h"

namespace cavmae::testing_media {

// Tests of generated files, which need the ffmpeg program.
class MediaFiles : public testing::Test {
 protected:
  void SetUp() override {
    CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_ffmpeg(), "ffmpeg");
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    std::string name = std::string("cavmae_") + test->test_suite_name() + "_" + test->name();
    std::replace(name.begin(), name.end(), '/', '_');
    folder_ = std::filesystem::temp_directory_path() / (name + "_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  std::filesystem::path at(const std::string& name) const { return folder_ / name; }

  // Runs ffmpeg in the folder; the arguments name its files without a path.
  void ffmpeg(const std::string& arguments) const {
    const std::string command = "cd '" + folder_.string() + "' && ffmpeg -nostdin -v error -y -threads 1 " +
                                arguments + " > log.txt 2>&1";
    ASSERT_EQ(std::system(command.c_str()), 0) << command << "\n" << read_text(at("log.txt"));
  }

  // A PCM wave file of noise under a slow swell, which resembles itself nowhere else.
  std::vector<float> write_wav(const std::string& name, int64_t rate_hz, double seconds) const {
    Random random(static_cast<uint64_t>(rate_hz));
    const auto count = static_cast<size_t>(std::llround(seconds * static_cast<double>(rate_hz)));
    std::vector<float> samples(count);
    std::string bytes;
    double smooth = 0.0;
    for (size_t i = 0; i < count; ++i) {
      smooth += 0.25 * (random.uniform(-1.0, 1.0) - smooth);
      const double swell = 0.6 + 0.4 * std::sin(static_cast<double>(i) * 2.0 / static_cast<double>(rate_hz));
      const auto level = static_cast<int16_t>(std::lround(25000.0 * swell * smooth));
      samples[i] = static_cast<float>(level) / 32768.0f;
      bytes.append(reinterpret_cast<const char*>(&level), 2);
    }
    write_file(at(name), wav_header(rate_hz, static_cast<uint32_t>(bytes.size())) + bytes);
    return samples;
  }

  static std::string wav_header(int64_t rate_hz, uint32_t data_bytes) {
    const auto number = [](uint64_t value, int num_bytes) {
      return std::string(reinterpret_cast<const char*>(&value), static_cast<size_t>(num_bytes));
    };
    const auto rate = static_cast<uint64_t>(rate_hz);
    return "RIFF" + number(data_bytes + 36, 4) + "WAVEfmt " + number(16, 4) + number(1, 2) + number(1, 2) +
           number(rate, 4) + number(2 * rate, 4) + number(2, 2) + number(16, 2) + "data" +
           number(data_bytes, 4);
  }

  // The first `share` of a file's bytes, under another name.
  void truncate(const std::string& from, const std::string& to, double share) const {
    const std::string bytes = read_text(at(from));
    write_file(at(to), std::string_view(bytes).substr(
                           0, static_cast<size_t>(share * static_cast<double>(bytes.size()))));
  }

  // Source of a video whose frame number stands in its picture as eight bars, least bit at the left.
  static std::string numbered_frames(int rate_hz, double seconds) {
    return "-f lavfi -i \"color=black:s=128x64:r=" + std::to_string(rate_hz) +
           ":d=" + std::to_string(seconds) +
           ",format=yuv420p,geq=lum='16+219*mod(floor(N/pow(2,floor(X/16))),2)':cb=128:cr=128\" ";
  }

  static int64_t frame_number(const torch::Tensor& image) {
    int64_t number = 0;
    for (int64_t bit = 0; bit < 8; ++bit)
      number += image[32][16 * bit + 8][1].item<int64_t>() > 127 ? int64_t{1} << bit : 0;
    return number;
  }

  std::filesystem::path folder_;
};

// The message of the MediaError that `call` throws.
template <class Error, class Call>
std::string error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

}  // namespace cavmae::testing_media
