#include "cavmae/synth/synth.h"

#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/json.h"
#include "cavmae/core/text.h"
#include "cavmae/data/read_clips.h"
#include "cavmae/media/media_reader.h"

#include "tests/support/media_tensors.h"
#include "tests/support/program.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

SynthOptions few_clips() {
  return {.num_clips = 4, .seed = 11, .clip_seconds = 1.0, .image_size_px = 48, .show_progress = false};
}

SynthResult make(const fs::path& out, const SynthOptions& options) {
  return make_clips(out, options, *null_log());
}

std::vector<Json> manifest_lines(const fs::path& out) {
  std::vector<Json> lines;
  for (const auto& line : split(read_text(out / "manifest.jsonl"), '\n'))
    if (!line.empty()) lines.push_back(parse_json(line, "manifest.jsonl"));
  return lines;
}

std::string config_error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "(no ConfigError was thrown)";
}

TEST(SynthClips, AreTheSameWhateverTheWorkers) {
  const TemporaryFolder folder;
  SynthOptions options = few_clips();
  options.num_workers = 1;
  EXPECT_EQ(make(folder / "a", options).num_made, 4);
  options.num_workers = 3;
  make(folder / "b", options);
  for (const char* name : {"clips/000000.mp4", "clips/000001.mp4", "clips/000002.mp4", "clips/000003.mp4"})
    EXPECT_EQ(read_text(folder / "a" / name), read_text(folder / "b" / name)) << name;
  EXPECT_EQ(read_text(folder / "a" / "manifest.jsonl"), read_text(folder / "b" / "manifest.jsonl"));
  EXPECT_NE(read_text(folder / "a" / "clips/000000.mp4"), read_text(folder / "a" / "clips/000001.mp4"));
}

TEST(SynthClips, ManifestNamesWhatIsInThem) {
  const TemporaryFolder folder;
  make(folder.path() / "a", few_clips());
  const auto lines = manifest_lines(folder / "a");
  ASSERT_EQ(lines.size(), 4u);
  for (const Json& line : lines) {
    std::set<std::string> kinds;
    for (const Json& object : line["parameters"]["objects"]) {
      kinds.insert(object["kind"].get<std::string>());
      for (const char* key : {"hue", "radius", "base_height", "pitch_hz", "loudness_db", "vibrato_hz",
                              "harmony_semitones", "beats_seconds", "motion"})
        EXPECT_TRUE(object.contains(key)) << key;
    }
    const auto labels = line["labels"].get<std::vector<std::string>>();
    EXPECT_EQ(kinds, std::set<std::string>(labels.begin(), labels.end()));
    EXPECT_TRUE(fs::exists(folder / "a" / line["path"].get<std::string>()));
    EXPECT_EQ(line["seed"], 11);
  }
  EXPECT_EQ(lines[2]["id"], "11-000002");

  const auto clips = read_clip_sources({folder / "a" / "manifest.jsonl"}, *null_log());
  ASSERT_EQ(clips.size(), 4u);
  EXPECT_EQ(clips[1].labels, lines[1]["labels"].get<std::vector<std::string>>());
}

TEST(SynthClips, AreRealVideosWithSound) {
  const TemporaryFolder folder;
  const SynthOptions options{.num_clips = 1, .seed = 3, .show_progress = false};
  make(folder / "a", options);
  const fs::path clip = folder / "a" / "clips/000000.mp4";
  const MediaInfo info = probe_media(clip);
  EXPECT_NEAR(info.duration_seconds, 4.0, 0.05);
  EXPECT_NEAR(info.frame_rate_hz, 12.0, 1e-6);
  EXPECT_EQ(info.width_px, 96);
  EXPECT_EQ(info.sample_rate_hz, 16000);

  const SynthScene scene = draw_scene(3, 0);
  const auto read = frame_tensors(clip, {0.0, 2.01});
  const auto rendered = render_frames(scene, options);
  const auto error = [&](size_t i, size_t k) {
    return (read[i].to(torch::kFloat) - rendered[k].to(torch::kFloat)).abs().mean().item<float>();
  };
  EXPECT_LT(error(0, 0), 4.0f);
  EXPECT_LT(error(1, 24), 4.0f);

  const torch::Tensor heard = audio_tensor(clip, {}), played = render_audio(scene, options);
  ASSERT_GE(heard.numel(), 60000);
  const auto a = heard.slice(0, 2000, 60000), b = played.slice(0, 2000, 60000);
  const auto correlation = (a * b).sum() / (a.norm() * b.norm());
  EXPECT_GT(correlation.item<float>(), 0.95f) << "the sound is not where it was put";
}

TEST(SynthClips, WithEventsShowAndPlayThem) {
  const TemporaryFolder folder;
  SynthOptions options = few_clips();
  options.clip_seconds = 2.0;
  make(folder / "steady", options);
  options.scenes = SceneKind::events;
  make(folder / "events", options);
  EXPECT_FALSE(read_json(folder / "steady/synth.json").contains("scenes")) << "as before there were events";
  EXPECT_EQ(read_json(folder / "events/synth.json")["scenes"], "events");
  const auto steady = manifest_lines(folder / "steady"), events = manifest_lines(folder / "events");
  for (int64_t i = 0; i < options.num_clips; ++i) {
    SCOPED_TRACE(concat("clip ", i));
    for (const Json& object : steady[i]["parameters"]["objects"])
      EXPECT_FALSE(object.contains("appears_seconds") || object.contains("leaves_seconds"));
    const SynthScene scene = draw_scene_with_events(options.seed, i, options.clip_seconds);
    ASSERT_EQ(events[i]["parameters"]["objects"].size(), scene.objects.size());
    EXPECT_EQ(events[i]["parameters"]["objects"][1]["appears_seconds"], scene.objects[1].appears_seconds);
    // As they are drawn, but for what H.264 and AAC lose.
    const fs::path clip = folder / "events" / events[i]["path"].get<std::string>();
    const auto drawn = render_frames(scene, options);
    const auto shown = frame_tensors(clip, {0.0, 0.75, 1.5});
    for (size_t k = 0; k < shown.size(); ++k)
      EXPECT_LT((shown[k].to(torch::kFloat32) - drawn[9 * k].to(torch::kFloat32)).abs().mean().item<double>(),
                6.0)
          << k;
    EXPECT_GT((shown[0].to(torch::kFloat32) - shown[2].to(torch::kFloat32)).abs().mean().item<double>(), 4.0);
    const torch::Tensor heard = audio_tensor(clip, {}), played = render_audio(scene, options);
    ASSERT_GE(heard.numel(), 30000);
    const auto a = heard.slice(0, 2000, 30000), b = played.slice(0, 2000, 30000);
    EXPECT_GT(at::cosine_similarity(a, b, 0).item<double>(), 0.9);
  }
}

TEST(SynthClips, AnInterruptedRunGoesOn) {
  const TemporaryFolder folder;
  const fs::path out = folder / "a";
  make(out, few_clips());
  const std::string third = read_text(out / "clips/000002.mp4"), manifest = read_text(out / "manifest.jsonl");
  const auto first_written = fs::last_write_time(out / "clips/000000.mp4");
  // As a kill leaves it: a clip is missing, half of it stands beside, and there is no manifest.
  fs::remove(out / "clips/000002.mp4");
  fs::remove(out / "manifest.jsonl");
  write_file(out / "clips/000002.mp4.tmp-1-2", third.substr(0, 100));
  const SynthResult result = make(out, few_clips());
  EXPECT_EQ(result.num_made, 1);
  EXPECT_EQ(result.num_kept, 3);
  EXPECT_EQ(read_text(out / "clips/000002.mp4"), third);
  EXPECT_EQ(read_text(out / "manifest.jsonl"), manifest);
  EXPECT_FALSE(fs::exists(out / "clips/000002.mp4.tmp-1-2"));
  EXPECT_EQ(fs::last_write_time(out / "clips/000000.mp4"), first_written);
}

TEST(SynthClips, MoreOfTheSameAreAdded) {
  const TemporaryFolder folder;
  SynthOptions options = few_clips();
  options.num_clips = 2;
  make(folder / "a", options);
  const SynthResult result = make(folder / "a", few_clips());
  EXPECT_EQ(result.num_made, 2);
  EXPECT_EQ(result.num_kept, 2);
  EXPECT_EQ(manifest_lines(folder / "a").size(), 4u);
}

TEST(SynthClips, OtherSettingsInTheSameFolderAreAnError) {
  const TemporaryFolder folder;
  const fs::path out = folder / "a";
  make(out, few_clips());
  SynthOptions other = few_clips();
  other.seed = 12;
  const auto message = config_error_of([&] { make(out, other); });
  EXPECT_THAT(message, HasSubstr("seed 11, asked for is 12"));
  EXPECT_THAT(message, HasSubstr("choose another --out"));
  other = few_clips();
  other.image_size_px = 64;
  EXPECT_THAT(config_error_of([&] { make(out, other); }), HasSubstr("image_size 48, asked for is 64"));
  other = few_clips();
  other.num_clips = 3;
  EXPECT_THAT(config_error_of([&] { make(out, other); }), HasSubstr("clips 4, asked for is 3"));
  other = few_clips();
  other.num_workers = 2;
  EXPECT_EQ(make(out, other).num_kept, 4);
}

TEST(SynthClips, AForeignFolderIsLeftAlone) {
  const TemporaryFolder folder;
  write_file(folder / "holiday.txt", "mine");
  EXPECT_THAT(config_error_of([&] { make(folder.path(), few_clips()); }), HasSubstr("not made by synth"));
  EXPECT_FALSE(fs::exists(folder / "clips"));
}

TEST(SynthClips, ClipsThatHaveNoPlaceAreAnError) {
  const TemporaryFolder folder;
  const fs::path out = folder / "a";
  SynthOptions options = few_clips();
  options.num_clips = 1;
  make(out, options);
  fs::remove_all(out / "clips");
  write_file(out / "clips", "a file where the folder should be");
  EXPECT_THROW(make(out, options), Error);
}

TEST(SynthClips, EveryBadOptionIsListed) {
  const auto message = config_error_of([] {
    SynthOptions{.num_clips = 0, .seed = -1, .clip_seconds = 11.0, .image_size_px = 97, .frame_rate_hz = 0}
        .validate();
  });
  for (const char* part :
       {"clips is 0", "seed is -1", "seconds is 11", "image_size is 97", "frame_rate is 0"})
    EXPECT_THAT(message, HasSubstr(part));
}

}  // namespace
}  // namespace cavmae
