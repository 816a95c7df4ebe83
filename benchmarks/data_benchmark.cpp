// Preparing clips of a given folder on one core, without a loader around: training samples, from the files or
// from a cache, what `cavmae embed` reads of a clip with its middle picture or with all, the sound and the
// ten pictures of each clip alone, and what each stage takes. Prints one JSON object. All times are the
// process's own processor time, which a busy neighbour does not lengthen. compare_data.sh makes such folders
// and runs a peer beside this.
//
//   data_benchmark samples|middle|all|stages|extract DATA [--cache DIR] [--seconds S]
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/core/json.h"
#include "cavmae/core/log.h"
#include "cavmae/core/random.h"
#include "cavmae/data/clip_reader.h"
#include "cavmae/data/read_clips.h"
#include "cavmae/features/augment.h"
#include "cavmae/features/fbank.h"
#include "cavmae/features/image_transform.h"
#include "cavmae/features/media_tensors.h"
#include "cavmae/machine/machine.h"
#include "cavmae/media/media_reader.h"
#include "cavmae/picture/resize.h"

#include "benchmarks/benchmark_main.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

struct Settings {
  std::string mode;
  fs::path data, cache;
  double seconds = 3.0;
};

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Runs `work` on clip after clip, round and round, and returns the seconds that one takes.
double seconds_each(const Settings& settings, size_t num_clips, const std::function<void(size_t)>& work) {
  for (size_t i = 0; i < num_clips; ++i) work(i);  // warms up: files, allocator, cache
  size_t count = 0;
  const double start = processor_seconds();
  double elapsed = 0.0;
  do {
    for (size_t i = 0; i < num_clips; ++i, ++count) work(i);
    elapsed = processor_seconds() - start;
  } while (elapsed < settings.seconds);
  return elapsed / static_cast<double>(count);
}

Json measure_view(const Settings& settings, const ClipList& clips, const ViewOptions& view) {
  const ClipReader reader(InputSpec{}, settings.cache, null_log());
  uint64_t seed = 0;
  const double each = seconds_each(settings, clips.size(), [&](size_t i) {
    const Sample sample = reader.read(clips[i], view, Need::both, ++seed);
    CAVMAE_CHECK(sample.audio.defined() && sample.video.defined(), "a clip lacks a side");
  });
  return {{"samples_per_second", 1.0 / each}, {"ms_per_sample", 1000.0 * each}};
}

Json measure_samples(const Settings& settings, const ClipList& clips) {
  return measure_view(settings, clips, training_view());
}

Json measure_middle(const Settings& settings, const ClipList& clips) {
  return measure_view(settings, clips, {.frames = FrameChoice::middle});
}

Json measure_all(const Settings& settings, const ClipList& clips) {
  return measure_view(settings, clips, {.frames = FrameChoice::all});
}

// What `ffmpeg` would be asked for: ten seconds of sound at 16 kHz and ten pictures, scaled and cropped.
Json measure_extract(const Settings& settings, const ClipList& clips) {
  std::vector<double> times;
  for (int i = 0; i < 10; ++i) times.push_back(i);
  const double each = seconds_each(settings, clips.size(), [&](size_t i) {
    CAVMAE_CHECK(!read_audio(clips[i].audio, {}).empty(), "a clip has no audio");
    read_squares(clips[i].video, times, 224);
  });
  return {{"ms_per_clip", 1000.0 * each}};
}

// The stages of a sample from a sound file and a picture.
Json measure_stages(const Settings& settings, const ClipList& clips) {
  const Fbank fbank;
  std::vector<torch::Tensor> waveforms, squares;
  std::vector<Picture> pictures;
  std::vector<MediaSource> picture_files;
  for (const ClipSource& clip : clips) {
    picture_files.push_back(clip.frames.empty() ? clip.video : clip.frames.front());
    waveforms.push_back(to_tensor(read_audio(clip.audio, {})));
    pictures.push_back(read_image(picture_files.back()));
    squares.push_back(to_tensor(resize_and_crop(pictures.back(), 224)));
  }
  const torch::Tensor spec = torch::zeros({998, 128});
  Random random(1);
  const std::vector<std::pair<const char*, std::function<void(size_t)>>> stages = {
      {"probe_wav", [&](size_t i) { probe_media(clips[i].audio); }},
      {"read_wav", [&](size_t i) { read_audio(clips[i].audio, {}); }},
      {"fbank", [&](size_t i) { fbank.compute(waveforms[i]); }},
      {"augment",
       [&](size_t) {
         finish_fbank(spec, {.mean = -5.081, .std = 4.4849, .noise = &random, .roll = &random});
       }},
      {"jpeg", [&](size_t i) { read_image(picture_files[i]); }},
      {"resize_and_crop", [&](size_t i) { resize_and_crop(pictures[i], 224); }},
      {"normalize", [&](size_t i) { normalize_image(squares[i]); }}};
  Json report;
  for (const auto& [name, work] : stages) report[name] = 1000.0 * seconds_each(settings, clips.size(), work);
  return {{"stages_ms", report}};
}

Settings parse(int argc, char** argv) {
  const std::string usage =
      "usage: data_benchmark samples|middle|all|stages|extract DATA [--cache DIR] [--seconds S]";
  CAVMAE_CHECK(argc >= 3 && argc % 2 == 1, usage);
  Settings settings;
  settings.mode = argv[1];
  settings.data = argv[2];
  for (int i = 3; i < argc; i += 2) {
    const std::string flag = argv[i];
    CAVMAE_CHECK(flag == "--cache" || flag == "--seconds", usage);
    if (flag == "--cache") settings.cache = argv[i + 1];
    if (flag == "--seconds") settings.seconds = std::atof(argv[i + 1]);
  }
  return settings;
}

int run(int argc, char** argv) {
  const Settings settings = parse(argc, argv);
  tune_process({.num_threads = 1});
  const std::map<std::string, Json (*)(const Settings&, const ClipList&)> modes = {
      {"samples", measure_samples},
      {"middle", measure_middle},
      {"all", measure_all},
      {"stages", measure_stages},
      {"extract", measure_extract}};
  const auto mode = modes.find(settings.mode);
  CAVMAE_CHECK(mode != modes.end(), "no mode '", settings.mode,
               "'; there are samples, middle, all, stages and extract");
  Json report = mode->second(settings, read_clip_sources({settings.data}, *null_log()));
  report["benchmark"] = "data " + settings.mode;
  std::cout << report.dump() << std::endl;
  return 0;
}

}  // namespace
}  // namespace cavmae

int main(int argc, char** argv) {
  return cavmae::benchmark_main(&cavmae::run, argc, argv);
}
