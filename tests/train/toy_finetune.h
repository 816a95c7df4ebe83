// Fine-tuning small enough for a test: clips whose class can be heard and seen, and a pretrained network of
// no training at all.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cavmae/models/checkpoint.h"
#include "cavmae/models/model_input.h"
#include "cavmae/train/finetuning.h"

#include "tests/support/media_tensors.h"
#include "tests/train/toy_run.h"

namespace cavmae {

// `count` clips of three classes in turn, "a", "b" and "c": a tone of the class's own and a picture of its
// own brightness. With `several`, every fourth clip has a second label. Returns their manifest.
struct ToyLabels {
  bool several = false;
  std::string last_label = "c";
};
inline std::filesystem::path make_labelled_clips(const std::filesystem::path& folder, int64_t count,
                                                 uint64_t seed, const ToyLabels& options = {}) {
  std::filesystem::create_directories(folder);
  const std::vector<std::string> names = {"a", "b", options.last_label};
  std::string manifest;
  for (int64_t i = 0; i < count; ++i) {
    Random random({seed, static_cast<uint64_t>(i)});
    const int64_t k = i % 3;
    const std::string name = "clip" + std::to_string(i);
    write_file(folder / (name + ".wav"),
               wav_file(300.0 * std::pow(3.0, k) * random.uniform(0.9, 1.1), 0.7, random));
    torch::Tensor image = torch::empty({36, 40, 3}, torch::kUInt8);
    for (int64_t p = 0; p < image.numel(); ++p)
      image.data_ptr<uint8_t>()[p] = static_cast<uint8_t>(80 * k + random.integer(0, 90));
    write_png(folder / (name + ".png"), image);
    std::string labels = "\"" + names[static_cast<size_t>(k)] + "\"";
    if (options.several && i % 4 == 0) labels += ", \"" + names[static_cast<size_t>((k + 1) % 3)] + "\"";
    manifest += R"({"id": ")" + name + R"(", "audio": ")" + name + R"(.wav", "image": ")" + name +
                R"(.png", "labels": [)" + labels + "]}\n";
  }
  write_file(folder / "clips.jsonl", manifest);
  return folder / "clips.jsonl";
}

// Twelve clips to learn from, six to validate with, and a model to begin with.
class ToyFinetune {
 public:
  ToyFinetune()
      : train_(make_labelled_clips(folder_ / "train", 12, 1)),
        val_(make_labelled_clips(folder_ / "val", 6, 2)) {
    CavMae model(toy_config());
    initialize(model, 7);
    save_model(init(), model, input_spec(toy_options().model, toy_options().data));
  }

  std::filesystem::path init() const { return folder_ / "init.safetensors"; }
  RunPaths paths(const std::string& name, RunStart start = RunStart::fresh) const {
    return {.data = {train_}, .val = {val_}, .out = folder_ / name, .cache = {}, .start = start};
  }
  std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }

  FinetuneOptions options() const {
    FinetuneOptions options = finetune_defaults(init()).options;
    options.init = init();
    options.epochs = 3;
    options.log_interval_steps = 2;
    options.head_lr_scale = 10;
    options.average_from_epoch = 2;
    options.loader.batch_size = 4;
    options.loader.num_workers = 1;
    options.schedule.lr = 1e-3;
    return options;
  }

 private:
  TemporaryFolder folder_;
  std::filesystem::path train_, val_;
};

inline FinetuneResult run_finetune(const FinetuneOptions& options, const RunPaths& paths,
                                   std::function<void(int64_t)> after_step = {}) {
  return finetune(options, paths, silent(std::move(after_step)), null_log(), World::alone());
}

}  // namespace cavmae
