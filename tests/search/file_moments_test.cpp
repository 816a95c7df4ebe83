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

// Sound by segments, of which each belongs to a picture.
TEST(FileMoments, AlignedSoundIsAMomentAPicture) {
  CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_ffmpeg(), "ffmpeg");
  const TemporaryFolder folder;
  InputSpec spec = tiny_features();
  spec.alignment = Alignment::picture;
  spec.audio_window_frames = 32;
  CavMaeConfig config = toy_network();
  config.audio_window_frames = 32;
  CavMae network(config);
  initialize(network, 5);
  save_model(folder / "aligned.safetensors", network, spec);
  LoadOptions without_decoder;
  without_decoder.decoder = DecoderUse::none;
  const Pretrained model = load_pretrained(folder / "aligned.safetensors", without_decoder);
  ASSERT_EQ(model.spec.alignment, Alignment::picture);
  fs::create_directories(folder / "films");
  write_video(folder / "films/a.mkv", 5.3, "-c:v libx264 -g 20 -c:a pcm_s16le",
              "aevalsrc='sin(2*PI*t*(200+150*t))':s=16000");
  const ClipList files = read_clip_sources({folder / "films"}, *null_log());
  LibrarySettings settings;
  settings.model = library_model(model);
  {
    FolderWriter writer(folder / "library", settings, LibraryStart::add, null_log());
    EXPECT_EQ(index_files(writer, model, files, {}, false, null_log()).moments, 26);
    writer.finish();
  }
  FolderReader library(folder / "library");
  const auto moments = moments_in(library);

  // Windows at 0, 2 and 3.3 s; of the last, those pictures that are shown after 4 s. Picture i of a window is
  // that of frame round(20.8 i), and its sound the 320 ms around, in whole frames of 10 ms.
  constexpr int64_t kSegments[] = {0, 50, 260, 460, 670, 880, 1090, 1300, 1500, 1710};
  const ClipList windows =
      windows_of_clips(files, ClipReader(model.spec),
                       {.need = Need::any, .spacing = {.count = std::nullopt, .hop_seconds = 2.0}});
  PassOptions pass;
  pass.show_progress = false;
  pass.view.frames = FrameChoice::all;
  CavMae loaded = model.network();
  const ClipEmbeddings each =
      embed_clips(loaded, model.spec, windows, pass, null_log(), ClipVectorsOf::picture);
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

}  // namespace
}  // namespace cavmae
