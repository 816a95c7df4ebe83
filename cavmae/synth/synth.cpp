#include "cavmae/synth/synth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "cavmae/core/error.h"
#include "cavmae/core/file_lock.h"
#include "cavmae/core/files.h"
#include "cavmae/core/json.h"
#include "cavmae/core/options.h"
#include "cavmae/core/progress.h"
#include "cavmae/core/stop_signal.h"
#include "cavmae/features/media_tensors.h"
#include "cavmae/media/video_writer.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

// Counts up whenever the same options would give other clips than before.
constexpr int64_t kGeneratorVersion = 1;
constexpr int64_t kCrf = 20;

std::string clip_name(int64_t index) {
  return fmt::format("clips/{:06}.mp4", index);
}

// ---- the folder and what it was made with

// What decides how the clips come out, and nothing else.
Json settings_of(const SynthOptions& options) {
  Json settings = {{"generator", kGeneratorVersion}};
  settings.update(option_to_json(options));
  settings.erase("num_workers");
  return settings;
}

void check_same_settings(const fs::path& file, const Json& before, const Json& now) {
  const std::string cure = "; choose another --out, or remove this folder to make its clips anew";
  for (const auto& [name, old] : before.items())
    CAVMAE_CHECK_AS(ConfigError, now.contains(name), file.string(), ": the clips here were made with ", name,
                    " ", old.dump(), ", asked for is the default", cure);
  for (const auto& [name, value] : now.items()) {
    const Json old = before.is_object() && before.contains(name) ? before[name] : Json();
    // More clips of the same kind are welcome.
    const bool grows = name == "clips" && old.is_number() && old.get<double>() <= value.get<double>();
    CAVMAE_CHECK_AS(ConfigError, grows || old == value, file.string(), ": the clips here were made with ",
                    name, " ", old.dump(), ", asked for is ", value.dump(), cure);
  }
}

// What a killed run was writing; write_file() puts such files beside their targets.
bool is_left_over(const fs::path& path) {
  return path.filename().string().find(".tmp-") != std::string::npos;
}

// Makes the folder, or holds its settings against those of the run that made it.
void prepare_folder(const fs::path& out_dir, const SynthOptions& options) {
  const fs::path file = out_dir / "synth.json";
  const Json settings = settings_of(options);
  if (fs::exists(file)) {
    check_same_settings(file, read_json(file), settings);
  } else {
    for (const auto& entry : fs::directory_iterator(out_dir))
      CAVMAE_CHECK_AS(ConfigError, is_left_over(entry.path()), out_dir.string(),
                      ": is not empty and was not made by synth; choose another --out");
  }
  write_json(file, settings);
  make_directories(out_dir / "clips");
  for (const auto& folder : {out_dir, out_dir / "clips"})
    for (const auto& entry : fs::directory_iterator(folder))
      if (is_left_over(entry.path())) fs::remove(entry.path());
}

// ---- clips

SynthScene scene_of(int64_t index, const SynthOptions& options) {
  return options.scenes == SceneKind::steady
             ? draw_scene(options.seed, index)
             : draw_scene_with_events(options.seed, index, options.clip_seconds);
}

void make_clip(const fs::path& path, int64_t index, const SynthOptions& options) {
  const SynthScene scene = scene_of(index, options);
  VideoWriter writer(path, {.width_px = options.image_size_px,
                            .height_px = options.image_size_px,
                            .frame_rate_hz = options.frame_rate_hz,
                            .sample_rate_hz = kSynthSampleRateHz,
                            .crf = kCrf});
  for (const auto& frame : render_frames(scene, options)) writer.add_frame(to_picture(frame));
  writer.add_audio(to_waveform(render_audio(scene, options)));
  writer.finish();
}

// Makes the clips of a list on several threads. The first failure stops them all.
class ClipMakers {
 public:
  ClipMakers(const fs::path& out_dir, const SynthOptions& options, std::vector<int64_t> indices)
      : out_dir_(out_dir), options_(options), indices_(std::move(indices)) {
    const auto cores = static_cast<int64_t>(std::max(1u, std::thread::hardware_concurrency()));
    num_running_ = options.num_workers > 0 ? options.num_workers : cores;
    const int64_t count = num_running_;
    for (int64_t i = 0; i < count; ++i) threads_.emplace_back([this] { work(); });
  }
  ~ClipMakers() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  ClipMakers(const ClipMakers&) = delete;
  ClipMakers& operator=(const ClipMakers&) = delete;

  // Waits a little; true as long as clips are being made. Rethrows what a thread threw.
  bool wait() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::milliseconds(200), [&] { return num_running_ == 0; });
    if (num_running_ == 0 && failure_) std::rethrow_exception(failure_);
    return num_running_ > 0;
  }
  int64_t num_done() const { return num_done_; }

 private:
  void work() {
    try {
      for (size_t i = next_++; i < indices_.size() && !stop_ && !StopSignal::requested(); i = next_++) {
        make_clip(out_dir_ / clip_name(indices_[i]), indices_[i], options_);
        ++num_done_;
      }
    } catch (...) {
      stop_ = true;
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    --num_running_;
    changed_.notify_all();
  }

  const fs::path out_dir_;
  const SynthOptions options_;
  const std::vector<int64_t> indices_;
  std::atomic<size_t> next_ = 0;
  std::atomic<int64_t> num_done_ = 0;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;  // over the three below
  std::condition_variable changed_;
  int64_t num_running_ = 0;
  std::exception_ptr failure_;
  std::vector<std::thread> threads_;
};

// ---- manifest

// What is shown, and beside it what is heard of it.
Json parameters_of(const SynthScene& scene, const SynthOptions& options) {
  Json parameters = option_to_json(scene);
  for (size_t i = 0; i < scene.objects.size(); ++i) {
    const SynthObject& o = scene.objects[i];
    Json& json = parameters["objects"][i];
    json["pitch_hz"] = pitch_hz(o.base_height);
    json["loudness_db"] = loudness_db(o);
    json["vibrato_hz"] = vibrato_hz(o);
    json["harmony_semitones"] = harmony_semitones(o);
    json["beats_seconds"] = beat_times(o, options.clip_seconds);
  }
  parameters["background"]["noise_cutoff_hz"] = noise_cutoff_hz(scene.background);
  parameters["background"]["noise_level_db"] = noise_level_db(scene.background);
  return parameters;
}

std::string manifest_text(const SynthOptions& options) {
  std::string text;
  for (int64_t i = 0; i < options.num_clips; ++i) {
    const SynthScene scene = scene_of(i, options);
    const Json line = {{"id", fmt::format("{}-{:06}", options.seed, i)},
                       {"path", clip_name(i)},
                       {"labels", scene_labels(scene)},
                       {"seed", options.seed},
                       {"index", i},
                       {"parameters", parameters_of(scene, options)}};
    text += line.dump() + "\n";
  }
  return text;
}

}  // namespace

void SynthOptions::validate() const {
  Problems problems;
  problems.require(num_clips >= 1 && num_clips <= 10'000'000, "clips is ", num_clips,
                   "; 1 to 10000000 are allowed");
  problems.require(seed >= 0, "seed is ", seed, "; it must be 0 or more");
  problems.require(clip_seconds >= 0.5 && clip_seconds <= 10.0, "seconds is ", clip_seconds,
                   "; 0.5 to 10 are allowed");
  problems.require(image_size_px >= 32 && image_size_px <= 1024 && image_size_px % 2 == 0, "image_size is ",
                   image_size_px, "; even numbers from 32 to 1024 are allowed");
  problems.require(frame_rate_hz >= 2 && frame_rate_hz <= 60, "frame_rate is ", frame_rate_hz,
                   "; 2 to 60 are allowed");
  problems.require(num_workers >= 0 && num_workers <= 1024, "num_workers is ", num_workers,
                   "; 0 (as many as there are cores) to 1024 are allowed");
  problems.throw_if_any("the clips cannot be made like this");
}

SynthResult make_clips(const fs::path& out_dir, const SynthOptions& options, Log& log) {
  options.validate();
  make_directories(out_dir);
  const FileLock lock(out_dir, "another process is making clips here; wait for it or choose another --out");
  prepare_folder(out_dir, options);

  std::vector<int64_t> missing;
  for (int64_t i = 0; i < options.num_clips; ++i)
    if (!fs::exists(out_dir / clip_name(i))) missing.push_back(i);
  SynthResult result{.num_made = 0,
                     .num_kept = options.num_clips - static_cast<int64_t>(missing.size()),
                     .manifest = out_dir / "manifest.jsonl"};
  if (result.num_kept > 0) log.info("{} clips are there already", result.num_kept);

  Progress progress({.title = "making clips",
                     .unit = "clips",
                     .total = options.num_clips,
                     .already_done = result.num_kept,
                     .line_interval_seconds = 10.0,
                     .quiet = !options.show_progress});
  ClipMakers makers(out_dir, options, std::move(missing));
  while (makers.wait()) progress.update(result.num_kept + makers.num_done());
  result.num_made = makers.num_done();
  progress.update(result.num_kept + result.num_made);
  progress.finish();
  CAVMAE_CHECK(result.num_kept + result.num_made == options.num_clips, "stopped by a signal after ",
               result.num_kept + result.num_made, " of ", options.num_clips,
               " clips; the same command goes on from there");
  write_file(result.manifest, manifest_text(options));
  return result;
}

}  // namespace cavmae
