// What of a file the network is asked, and where in the file its answers belong.
#include "cavmae/search/file_moments.h"

#include <map>
#include <string>
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/eval/embed.h"
#include "cavmae/nn/profile_range.h"
#include "cavmae/nn/profile_ranges.h"
#include "cavmae/search/search.h"

#include "tests/search/toy_library.h"
#include "tests/support/tools.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

// A hum of two hours with one other sound in it, at 1:02:03.
void write_two_hours(const fs::path& film, const fs::path& sound) {
  const std::string hum = " -f lavfi -i sine=f=110:r=8000:d=";
  const std::string ffmpeg = "ffmpeg -nostdin -v error -y ";
  const auto planted = testing_support::run_shell(
      ffmpeg + "-f lavfi -i \"aevalsrc='0.5*sin(2*PI*t*(900+700*sin(9*t)))':s=8000:d=2\" -c:a flac '" +
      sound.string() + "'");
  ASSERT_EQ(planted.exit_code, 0) << planted.err;
  const auto whole = testing_support::run_shell(
      ffmpeg + hum + "3723 -i '" + sound.string() + "'" + hum +
      "3475 -filter_complex '[0]volume=0.05[a];[2]volume=0.05[c];[a][1][c]concat=n=3:v=0:a=1' "
      "-c:a flac -compression_level 0 '" +
      film.string() + "'");
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
}

TEST(LongFiles, AMomentIsFoundAtItsSecond) {
  CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_ffmpeg(), "ffmpeg");
  const TemporaryFolder folder;
  const ToyLibrary toy(folder.path());
  write_two_hours(toy.films() / "long.flac", folder / "planted.flac");
  const auto writer =
      open_library_to_write(toy.name(), toy.settings(/*hop_seconds=*/3.0), LibraryStart::add, null_log());
  const IndexResult result = index_files(*writer, toy.model(), read_clip_sources({toy.films()}, *null_log()),
                                         {.batch_size = 32}, false, null_log());
  EXPECT_EQ(result.moments, 2401);
  const ClipVectors query = Model(folder / "model.safetensors").embed(folder / "planted.flac");
  FolderReader library(toy.library());
  const auto hits = search(library, {.audio = query.audio, .video = {}}, {.target = SearchFor::audio});
  ASSERT_EQ(hits.size(), 1u);
  const MomentHit& best = hits[0].moments[0];
  EXPECT_EQ(best.moment.start_ms, 3'723'000);
  EXPECT_EQ(best.moment.end_ms, 3'725'000);
  EXPECT_NEAR(best.similarity, 1.0, 1e-3);
  EXPECT_GT(best.score, 0.9);
}

// How often each named part of the network runs on this thread.
class CountedRanges {
 public:
  CountedRanges() {
    now_ = &counts_;
    at::RecordFunctionCallback callback([](const at::RecordFunction& function) {
      ++(*now_)[function.name()];
      return std::unique_ptr<at::ObserverContext>();
    });
    callback.scopes({at::RecordScope::USER_SCOPE});
    handle_ = at::addThreadLocalCallback(callback);
  }
  ~CountedRanges() { at::removeCallback(handle_); }
  CountedRanges(const CountedRanges&) = delete;
  CountedRanges& operator=(const CountedRanges&) = delete;
  int of(const char* name) { return counts_[name]; }

 private:
  inline static thread_local std::map<std::string, int>* now_ = nullptr;
  std::map<std::string, int> counts_;
  at::CallbackHandle handle_ = 0;
};

TEST(FileMoments, PicturesThatMomentsShareAreComputedOnce) {
  CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_ffmpeg(), "ffmpeg");
  const TemporaryFolder folder;
  const ToyLibrary toy(folder.path());
  write_video(toy.films() / "a.mkv", 6, "-c:v libx264 -g 20 -c:a pcm_s16le");
  // Every picture and every sound is a pass of its own.
  const auto passes = [&](double hop_seconds, LibraryStart start) {
    CountedRanges ranges;
    const auto writer = open_library_to_write(toy.name(), toy.settings(hop_seconds), start, null_log());
    const IndexResult result =
        index_files(*writer, toy.model(), read_clip_sources({toy.films()}, *null_log()), {.batch_size = 1},
                    false, null_log());
    writer->finish();
    return std::tuple(result.moments, ranges.of(ranges::kAudioEncoder), ranges.of(ranges::kVideoEncoder));
  };
  EXPECT_EQ(passes(2.0, LibraryStart::add), std::tuple(3, 3, 30));
  EXPECT_EQ(passes(1.0, LibraryStart::rebuild), std::tuple(5, 5, 30));
  EXPECT_EQ(passes(0.5, LibraryStart::rebuild), std::tuple(9, 9, 30));
}

// Sound by segments of 32 frames, of which each belongs to a picture.
class AlignedFiles : public testing::Test {
 protected:
  void SetUp() override {
    CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_ffmpeg(), "ffmpeg");
    fs::create_directories(folder_ / "films");
    model_ = load_pretrained(save_toy_model(folder_ / "aligned.safetensors", 5, Alignment::picture),
                             without_decoder());
    ASSERT_EQ(model_->spec.alignment, Alignment::picture);
  }
  ClipList files() const { return read_clip_sources({folder_ / "films"}, *null_log()); }
  // Of a library of the films.
  std::vector<FoundMoment> index() const {
    LibrarySettings settings;
    settings.model = library_model(*model_);
    {
      FolderWriter writer(folder_ / "library", settings, LibraryStart::rebuild, null_log());
      index_files(writer, *model_, files(), {}, false, null_log());
      writer.finish();
    }
    FolderReader library(folder_ / "library");
    return moments_in(library);
  }

  TemporaryFolder folder_;
  std::optional<Pretrained> model_;
};

TEST_F(AlignedFiles, EachPictureIsAMomentWithItsSound) {
  write_video(folder_ / "films/a.mkv", 5.3, "-c:v libx264 -g 20 -c:a pcm_s16le",
              "aevalsrc='sin(2*PI*t*(200+150*t))':s=16000");
  const auto moments = index();
  EXPECT_EQ(moments.size(), 26U);

  // Windows at 0, 2 and 3.3 s; of the last, those pictures that are shown after 4 s. Picture i of a window is
  // that of frame round(20.8 i), and its sound the 320 ms around, in whole frames of 10 ms.
  constexpr int64_t kSegments[] = {0, 50, 260, 460, 670, 880, 1090, 1300, 1500, 1710};
  const ClipList windows =
      windows_of_clips(files(), ClipReader(model_->spec),
                       {.need = Need::any, .spacing = {.count = std::nullopt, .hop_seconds = 2.0}});
  PassOptions pass;
  pass.show_progress = false;
  pass.view.frames = FrameChoice::all;
  CavMae network = model_->network();
  const ClipEmbeddings each =
      embed_clips(network, model_->spec, windows, pass, null_log(), ClipVectorsOf::picture);
  size_t at = 0;
  for (const int64_t window : {0, 1, 2})
    for (int64_t i = window == 2 ? 4 : 0; i < 10; ++i, ++at) {
      SCOPED_TRACE(concat("window ", window, ", picture ", i));
      ASSERT_LT(at, moments.size());
      const FoundMoment& found = moments[at];
      const int64_t start = (window == 2 ? 3300 : 2000 * window) + kSegments[i];
      EXPECT_EQ(found.moment.start_ms, start);
      EXPECT_EQ(found.moment.end_ms, std::min<int64_t>(start + 320, 5300));
      EXPECT_TRUE(torch::allclose(found.vectors.audio, each.audio[window][i], 1e-4, 1e-5));
      EXPECT_TRUE(torch::allclose(found.vectors.video, each.video[window][i], 1e-4, 1e-5));
    }
  EXPECT_EQ(at, moments.size());
}

TEST_F(AlignedFiles, APhotoIsOneMomentWithoutLength) {
  write_flat_png(folder_ / "films/grey.png", 90);
  const auto moments = index();
  ASSERT_EQ(moments.size(), 1U);
  EXPECT_EQ(moments[0].moment.start_ms, 0);
  EXPECT_EQ(moments[0].moment.end_ms, 0);
  EXPECT_TRUE(moments[0].vectors.video.defined());
  EXPECT_FALSE(moments[0].vectors.audio.defined());
}

// Of files that end before the window: sound and pictures are spread over the file alike, whichever side goes
// on, and no moment begins behind its end.
TEST_F(AlignedFiles, ShortOnesHaveNoMomentBehindTheirEnd) {
  const std::string sound = "'aevalsrc=sin(2*PI*t*(200+300*t)):s=16000:d=";
  const auto write = [&](const std::string& name, const std::string& of_video, const std::string& of_sound) {
    const auto made = testing_support::run_shell(
        "ffmpeg -nostdin -v error -y -f lavfi -i testsrc2=s=96x64:r=30:d=" + of_video + " -f lavfi -i " +
        sound + of_sound + "' -c:v libx264 -g 20 -c:a pcm_s16le '" + (folder_ / "films" / name).string() +
        "'");
    ASSERT_EQ(made.exit_code, 0) << made.err;
  };
  write("both.mkv", "1.3", "1.3");
  write("longer_film.mkv", "1.8", "1.3");
  write("longer_sound.mkv", "1.3", "1.8");
  const auto moments = index();
  ASSERT_EQ(moments.size(), 30U);

  InputSpec unaligned = model_->spec;
  unaligned.alignment = Alignment::clip;
  unaligned.audio_window_frames = 0;
  unaligned.num_frames = 1;
  const ClipReader reader(unaligned);
  CavMae network = model_->network();
  for (size_t i = 0; i < moments.size(); ++i) {
    const auto& [path, moment, vectors] = moments[i];
    const auto position = static_cast<int64_t>(i % 10);
    SCOPED_TRACE(concat(path, ", picture ", position));
    // Picture i is shown at 130 i ms. 32 of 135 frames: the middle one is that at round(13.5 i).
    constexpr int64_t kSegments[] = {0, 1, 110, 240, 380, 520, 650, 780, 920, 1030};
    EXPECT_EQ(moment.start_ms, kSegments[position]);
    EXPECT_EQ(moment.end_ms, std::min<int64_t>(moment.start_ms - (position == 1 ? 1 : 0) + 320, 1300));
    EXPECT_LT(moment.start_ms, moment.end_ms);
    ClipSource clip = clip_of_file(path);
    const torch::Tensor heard = reader.read(clip, {}, Need::audio, 0).audio;
    const Embeddings of_sound =
        embed_batch(network, {.audio = heard.narrow(0, moment.start_ms / 10, 32).unsqueeze(0), .video = {}});
    EXPECT_TRUE(torch::allclose(vectors.audio, of_sound.audio[0], 1e-4, 1e-5));
    clip.start_seconds = 0.13 * static_cast<double>(position);
    const torch::Tensor picture = reader.read(clip, {}, Need::video, 0).video;
    const Embeddings of_picture = embed_batch(network, {.audio = {}, .video = picture.unsqueeze(0)});
    EXPECT_TRUE(torch::allclose(vectors.video, of_picture.video[0], 1e-4, 1e-5));
  }
}

}  // namespace
}  // namespace cavmae
