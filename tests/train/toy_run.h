// A run small enough for a test: a few clips of noise and tones with pictures, and a network that learns from
// them in milliseconds.
#pragma once

#include <bit>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numbers>
#include <string>

#include "cavmae/core/files.h"
#include "cavmae/core/random.h"
#include "cavmae/media/image_writer.h"
#include "cavmae/train/pretraining.h"

#include "tests/support/media_tensors.h"
#include "tests/support/temporary_folder.h"

namespace cavmae {

template <class T>
void put(std::string& out, T value) {
  for (size_t i = 0; i < sizeof(T); ++i)
    out.push_back(static_cast<char>(static_cast<uint64_t>(value) >> (8 * i)));
}

// A mono wav file of 16 kHz and 16 bits: a tone in noise.
inline std::string wav_file(double frequency_hz, double seconds, Random& random) {
  const auto samples = static_cast<uint32_t>(seconds * 16000);
  std::string out = "RIFF";
  put<uint32_t>(out, 36 + 2 * samples);
  out += "WAVEfmt ";
  put<uint32_t>(out, 16);
  put<uint16_t>(out, 1);  // PCM
  put<uint16_t>(out, 1);  // channels
  put<uint32_t>(out, 16000);
  put<uint32_t>(out, 32000);
  put<uint16_t>(out, 2);
  put<uint16_t>(out, 16);
  out += "data";
  put<uint32_t>(out, 2 * samples);
  for (uint32_t i = 0; i < samples; ++i) {
    const double tone = std::sin(2 * std::numbers::pi * frequency_hz * i / 16000);
    put<uint16_t>(out,
                  static_cast<uint16_t>(static_cast<int16_t>(8000 * tone + 2000 * random.uniform(-1, 1))));
  }
  return out;
}

// `count` clips whose pictures and tones differ, and their manifest, whose path is returned.
inline std::filesystem::path make_toy_clips(const std::filesystem::path& folder, int64_t count,
                                            uint64_t seed = 0) {
  std::filesystem::create_directories(folder);
  std::string manifest;
  for (int64_t i = 0; i < count; ++i) {
    Random random({seed, static_cast<uint64_t>(i)});
    const std::string name = "clip" + std::to_string(i);
    write_file(folder / (name + ".wav"), wav_file(random.uniform(200, 4000), 0.7, random));
    torch::Tensor image = torch::empty({36, 40, 3}, torch::kUInt8);
    for (int64_t k = 0; k < image.numel(); ++k)
      image.data_ptr<uint8_t>()[k] = static_cast<uint8_t>(random.integer(0, 255));
    write_png(folder / (name + ".png"), image);
    manifest +=
        R"({"id": ")" + name + R"(", "audio": ")" + name + R"(.wav", "image": ")" + name + ".png\"}\n";
  }
  write_file(folder / "clips.jsonl", manifest);
  return folder / "clips.jsonl";
}

inline CavMaeConfig toy_config() {
  CavMaeConfig config;
  config.num_fbank_frames = 64;
  config.num_mel_bins = 32;
  config.image_size = 32;
  config.embed_dim = 32;
  config.num_heads = 4;
  config.modality_depth = 1;
  config.decoder_depth = 1;
  config.decoder_embed_dim = 16;
  config.decoder_num_heads = 2;
  return config;
}

inline PretrainOptions toy_options() {
  PretrainOptions options;
  options.epochs = 2;
  options.log_interval_steps = 2;
  options.model = toy_config();
  options.data.num_frames = 1;
  options.data.window_seconds = 0.7;
  options.loader.batch_size = 2;
  options.loader.num_workers = 1;
  options.schedule.lr = 1e-3;
  return options;
}

// Ten clips to learn from and four to validate with, in a folder of their own.
class ToyRun {
 public:
  ToyRun() : train_(make_toy_clips(folder_ / "train", 10, 1)), val_(make_toy_clips(folder_ / "val", 4, 2)) {}

  RunPaths paths(const std::string& name, RunStart start = RunStart::fresh) const {
    return {.data = {train_}, .val = {val_}, .out = folder_ / name, .cache = {}, .start = start};
  }
  std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }

 private:
  TemporaryFolder folder_;
  std::filesystem::path train_, val_;
};

inline RunHooks silent(std::function<void(int64_t)> after_step = {}, std::function<bool()> stop = {}) {
  return {.show_progress = false, .after_step = std::move(after_step), .stop = std::move(stop)};
}

inline RunResult run_toy(const PretrainOptions& options, const RunPaths& paths,
                         std::function<void(int64_t)> after_step = {}) {
  return pretrain(options, paths, silent(std::move(after_step)), null_log(), World::alone());
}

inline std::vector<Json> read_metrics(const std::filesystem::path& run) {
  std::vector<Json> records;
  std::ifstream in(run / "metrics.jsonl");
  for (std::string line; std::getline(in, line);) records.push_back(parse_json(line, "metrics.jsonl"));
  return records;
}

}  // namespace cavmae
