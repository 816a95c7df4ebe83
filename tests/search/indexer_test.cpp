#include "cavmae/search/indexer.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/data/pack.h"
#include "cavmae/data/windows.h"
#include "cavmae/eval/embed.h"
#include "cavmae/media/media_reader.h"
#include "cavmae/search/export.h"

#include "tests/search/same_results.h"
#include "tests/search/toy_library.h"
#include "tests/support/thread_world.h"
#include "tests/support/tools.h"

namespace cavmae {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

class Indexer : public testing::Test {
 protected:
  TemporaryFolder folder_;
  ToyLibrary toy_{folder_.path()};
};

std::vector<int64_t> starts_of(const std::vector<FoundMoment>& moments) {
  std::vector<int64_t> out;
  for (const FoundMoment& at : moments) out.push_back(at.moment.start_ms);
  return out;
}

bool is_close(const torch::Tensor& a, const torch::Tensor& b) {
  return a.defined() && b.defined() && torch::allclose(a, b, 1e-4, 1e-5);
}

void expect_same(const std::vector<FoundMoment>& a, const std::vector<FoundMoment>& b) {
  expect_same_moments(a, b, 1e-4, 1e-5);
}

TEST_F(Indexer, AMomentOnTheGridHasTheVectorsThatItsWindowHas) {
  CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_ffmpeg(), "ffmpeg");
  write_video(toy_.films() / "a.mkv", 6, "-c:v libx264 -g 20 -c:a pcm_s16le",
              "sine=f=300:beep_factor=4:r=44100");
  const IndexResult result = toy_.index(1.0);
  EXPECT_EQ(result.added, 1);
  EXPECT_EQ(result.moments, 5);
  FolderReader library(toy_.library());
  const auto moments = moments_in(library);
  EXPECT_THAT(starts_of(moments), ElementsAre(0, 1000, 2000, 3000, 4000));
  EXPECT_EQ(moments.back().moment.end_ms, 6000);

  const ClipReader reader(toy_.model().spec);
  const ClipList files = read_clip_sources({toy_.films()}, *null_log());
  const ClipList windows = windows_of_clips(
      files, reader, {.need = Need::any, .spacing = {.count = std::nullopt, .hop_seconds = 1.0}});
  PassOptions pass;
  pass.show_progress = false;
  pass.view.frames = FrameChoice::all;
  CavMae network = toy_.model().network();
  const ClipEmbeddings plain = embed_clips(network, toy_.model().spec, windows, pass, null_log());
  ASSERT_EQ(plain.indices.size(), moments.size());
  for (size_t i = 0; i < moments.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    EXPECT_TRUE(is_close(moments[i].vectors.audio, plain.audio[row])) << i;
    EXPECT_TRUE(is_close(moments[i].vectors.video, plain.video[row])) << i;
  }
}

TEST_F(Indexer, BesideTheGridAMomentHasThePicturesThatAreShownInIt) {
  CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_ffmpeg(), "ffmpeg");
  write_video(toy_.films() / "a.mkv", 5.3, "-c:v libx264 -g 20 -c:a pcm_s16le");
  toy_.index(0.75);
  FolderReader library(toy_.library());
  const auto moments = moments_in(library);
  EXPECT_THAT(starts_of(moments), ElementsAre(0, 750, 1500, 2250, 3000, 3300));
  // The pictures of the grid: of the windows at 0 and 2 s, and behind them those of the one that ends the
  // file.
  const ClipReader reader(toy_.model().spec);
  const ClipSource film = clip_of_file(toy_.films() / "a.mkv");
  std::vector<std::pair<int64_t, torch::Tensor>> grid;
  CavMae network = toy_.model().network();
  for (const double start : {0.0, 2.0, 3.3}) {
    const Sample sample =
        reader.read(film, {.window_start = start, .frames = FrameChoice::all}, Need::video, 0);
    const torch::Tensor vectors = embed_batch(network, {.audio = {}, .video = sample.video}).video;
    for (int64_t i = 0; i < 10; ++i) {
      const int64_t at = to_milliseconds(start + 0.2 * static_cast<double>(i));
      if (start < 3 || at >= 4000) grid.emplace_back(at, vectors[i]);
    }
  }
  for (const FoundMoment& at : moments) {
    std::vector<torch::Tensor> within;
    for (const auto& [time, vector] : grid)
      if (time >= at.moment.start_ms && time < at.moment.end_ms) within.push_back(vector);
    EXPECT_TRUE(is_close(at.vectors.video, torch::stack(within).mean(0))) << at.moment.start_ms;
  }
}

TEST_F(Indexer, RanksOfOneLaunchShareTheFiles) {
  for (int i = 0; i < 7; ++i) write_wav(toy_.films() / concat(i, ".wav"), 1.5 + 0.5 * i, 200 + 50 * i);
  write_text(toy_.films() / "words.wav", "no sound");
  toy_.index();
  FolderReader alone(toy_.library());
  const auto expected = moments_in(alone);

  const fs::path shared = folder_ / "shared";
  std::vector<IndexResult> results(3);
  const auto index = [&](bool prune) {
    FolderWriter first(shared, toy_.settings(), LibraryStart::add, null_log());
    testing_support::run_ranks(3, [&](World& world) {
      std::unique_ptr<LibraryWriter> other;
      if (world.rank() > 0) other = join_library(shared.string(), first.settings(), null_log());
      LibraryWriter& writer = other ? *other : first;
      const ClipList files = read_clip_sources({toy_.films()}, *null_log());
      results[static_cast<size_t>(world.rank())] =
          index_files(writer, toy_.model(), files, {.prune = prune, .world = world}, false, null_log());
    });
  };
  index(false);
  for (const IndexResult& result : results) {
    EXPECT_EQ(result.added, 7);
    EXPECT_EQ(result.failed, 1);
    EXPECT_EQ(result.moments, static_cast<int64_t>(expected.size()));
  }
  FolderReader library(shared);
  expect_same(moments_in(library), expected);
  EXPECT_EQ(library.snapshot()->counts().segments, 1) << "the first rank sealed what all have added";

  // A file that moved is found by whichever rank it falls to, and what is gone goes once.
  fs::rename(toy_.films() / "6.wav", toy_.films() / "0a.wav");
  fs::remove(toy_.films() / "3.wav");
  index(true);
  EXPECT_EQ(results[0].moved, 1);
  EXPECT_EQ(results[0].unchanged, 5);
  EXPECT_EQ(results[0].added, 0);
  EXPECT_EQ(results[0].pruned, 1);
}

TEST_F(Indexer, FilesOfOneSideAndPicturesAreMomentsToo) {
  write_wav(toy_.films() / "long.wav", 3.5, 440);
  write_wav(toy_.films() / "short.wav", 0.7, 330);
  write_flat_png(toy_.films() / "photo.png", 90);
  const IndexResult result = toy_.index(1.0);
  EXPECT_EQ(result.added, 3);
  EXPECT_EQ(result.failed, 0);
  FolderReader library(toy_.library());
  const auto moments = moments_in(library);
  EXPECT_THAT(starts_of(moments), ElementsAre(0, 1000, 1500, 0, 0));
  const auto short_sound =
      std::ranges::find(moments, (toy_.films() / "short.wav").string(), &FoundMoment::path);
  EXPECT_EQ(short_sound->moment.end_ms, 700);
  EXPECT_TRUE(short_sound->vectors.audio.defined());
  EXPECT_FALSE(short_sound->vectors.video.defined());
  const auto photo = std::ranges::find(moments, (toy_.films() / "photo.png").string(), &FoundMoment::path);
  EXPECT_EQ(photo->moment.end_ms, 0);
  EXPECT_FALSE(photo->vectors.audio.defined());
  EXPECT_TRUE(photo->vectors.video.defined());
}

TEST_F(Indexer, DoesOnlyWhatHasChanged) {
  write_wav(toy_.films() / "a.wav", 3, 440);
  write_wav(toy_.films() / "b.wav", 2, 220);
  EXPECT_EQ(toy_.index().added, 2);
  FolderReader library(toy_.library());
  const auto before = moments_in(library);

  IndexResult again = toy_.index();
  EXPECT_EQ(again.unchanged, 2);
  EXPECT_EQ(again.moments, 0);

  // Another name, the same bytes: nothing is read by the network, and the moments keep their ids.
  fs::create_directories(toy_.films() / "below");
  fs::rename(toy_.films() / "a.wav", toy_.films() / "below/c.wav");
  again = toy_.index();
  EXPECT_EQ(again.moved, 1);
  EXPECT_EQ(again.moments, 0);
  const auto moved = moments_in(library);
  ASSERT_EQ(moved.size(), before.size());
  const auto c = std::ranges::find(moved, (toy_.films() / "below/c.wav").string(), &FoundMoment::path);
  EXPECT_EQ(c->moment.id, before[0].moment.id);

  // Another time, the same bytes.
  fs::last_write_time(toy_.films() / "b.wav", fs::file_time_type::clock::now() + std::chrono::hours(1));
  EXPECT_EQ(toy_.index().moments, 0);

  write_wav(toy_.films() / "b.wav", 4, 550);
  again = toy_.index();
  EXPECT_EQ(again.changed, 1);
  EXPECT_EQ(again.moments, 3);
  EXPECT_EQ(library.snapshot()->counts().moments, 5);

  fs::remove(toy_.films() / "b.wav");
  again = toy_.index();
  EXPECT_EQ(again.gone, 1);
  EXPECT_EQ(library.snapshot()->counts().files, 2);
  EXPECT_EQ(toy_.prune().pruned, 1);
  EXPECT_EQ(library.snapshot()->counts().files, 1);
  EXPECT_EQ(library.snapshot()->counts().moments, 2);
  EXPECT_EQ(moments_in(library).size(), 2u);
}

TEST_F(Indexer, ABadFileIsNamedOnceAndTriedAgainWhenItChanges) {
  write_wav(toy_.films() / "good.wav", 2, 440);
  write_text(toy_.films() / "bad.wav", "no sound at all, only text");
  const CapturedLog captured;
  IndexResult result = toy_.index(toy_.settings(), LibraryStart::add, false, captured.log);
  EXPECT_EQ(result.added, 1);
  EXPECT_EQ(result.failed, 1);
  EXPECT_THAT(captured.text->str(), HasSubstr("bad.wav"));
  FolderReader library(toy_.library());
  ASSERT_EQ(library.failures().size(), 1u);
  EXPECT_THAT(library.failures()[0].path, HasSubstr("bad.wav"));

  const CapturedLog quiet;
  result = toy_.index(toy_.settings(), LibraryStart::add, false, quiet.log);
  EXPECT_EQ(result.failed, 1);
  EXPECT_THAT(quiet.text->str(), testing::Not(HasSubstr("bad.wav:")));

  write_wav(toy_.films() / "bad.wav", 2, 660);
  result = toy_.index();
  EXPECT_EQ(result.added, 1);
  EXPECT_EQ(result.failed, 0);
  EXPECT_TRUE(library.failures().empty());
}

TEST_F(Indexer, ClipsOfShardsStayInTheLibrary) {
  write_wav(folder_ / "loose/a.wav", 3, 440);
  write_wav(folder_ / "loose/b.wav", 2, 330);
  const ClipList loose = read_clip_sources({folder_ / "loose"}, *null_log());
  PackOptions options;
  options.show_progress = false;
  pack_clips(loose, toy_.films(), options, null_log());
  EXPECT_EQ(toy_.index().added, 2);
  const IndexResult again = toy_.prune();
  EXPECT_EQ(again.unchanged, 2);
  EXPECT_EQ(again.pruned, 0);
  FolderReader library(toy_.library());
  EXPECT_EQ(library.snapshot()->counts().moments, 3);
  const std::string tar = (toy_.films() / "shard-000000.tar").string();
  // Files are numbered in the order in which their decoding ends.
  std::map<std::string, int64_t> ids;
  for (const int64_t id : {1, 2}) {
    ids[library.file(id)->path] = id;
  }
  ASSERT_THAT(
      ids, testing::ElementsAre(testing::Key(tar + "/000000000.wav"), testing::Key(tar + "/000000001.wav")));
  // And are cut out of it.
  const int64_t longer = ids.at(tar + "/000000000.wav");
  ASSERT_EQ(library.moments_of(longer).size(), 2);
  export_moment(*library.file(longer), library.moments_of(longer)[1], folder_ / "cut.mp4");
  EXPECT_NEAR(probe_media(folder_ / "cut.mp4").duration_seconds, 2.0, 0.1);
}

// A disk that is not mounted is no reason to forget what lay on it.
TEST_F(Indexer, WhatIsAwayAsAWholeIsNotPruned) {
  const fs::path other = folder_ / "other";
  fs::create_directories(other);
  write_wav(toy_.films() / "a.wav", 3, 440);
  write_wav(toy_.films() / "b.wav", 3, 550);
  write_wav(other / "c.wav", 3, 660);
  LibrarySettings settings = toy_.settings();
  settings.data.push_back(other.string());
  const auto index = [&](const std::vector<std::string>& forget = {}) {
    const auto writer = open_library_to_write(toy_.name(), settings, LibraryStart::add, null_log());
    const int64_t forgotten = forget_files(*writer, forget);
    const ClipList files =
        read_clip_sources({toy_.films(), other}, *null_log(), {.may_be_gone = {toy_.films(), other}});
    IndexResult result = index_files(*writer, toy_.model(), files, {.prune = true}, false, null_log());
    result.pruned += forgotten;
    writer->finish();
    return result;
  };
  EXPECT_EQ(index().added, 3);
  fs::rename(other, folder_ / "unmounted");
  fs::remove(toy_.films() / "a.wav");
  const IndexResult away = index();
  EXPECT_EQ(away.pruned, 1);  // a.wav alone
  EXPECT_EQ(away.gone, 1);
  fs::rename(folder_ / "unmounted", other);
  EXPECT_EQ(index().unchanged, 2);
  // The last file of a folder goes, too.
  fs::remove(other / "c.wav");
  EXPECT_EQ(index().pruned, 1);
  write_wav(other / "d.wav", 3, 770);
  EXPECT_EQ(index().added, 1);
  // What is there is forgotten when it is not wanted any more.
  settings.data.pop_back();
  const auto writer = open_library_to_write(toy_.name(), settings, LibraryStart::add, null_log());
  EXPECT_EQ(forget_files(*writer, {other.string(), toy_.films().string()}), 1);
}

TEST_F(Indexer, RebuildsBesideTheLibraryThatIsSearched) {
  write_wav(toy_.films() / "a.wav", 5, 440);
  toy_.index(1.0);
  FolderReader library(toy_.library());
  EXPECT_EQ(library.snapshot()->counts().moments, 4);
  toy_.index(toy_.settings(1.5), LibraryStart::rebuild);
  EXPECT_EQ(library.snapshot()->counts().moments, 3);
  EXPECT_EQ(library.snapshot()->settings().generation, 2);
  EXPECT_FALSE(fs::exists(generation_folder(toy_.library(), 1)));
  toy_.index(toy_.settings(1.5));
  EXPECT_EQ(library.snapshot()->counts().moments, 3);
}

TEST_F(Indexer, AnotherModelOrHopOrWriterIsRefused) {
  write_wav(toy_.films() / "a.wav", 2, 440);
  toy_.index();
  EXPECT_THAT(message_from<ConfigError>([&] { toy_.index(0.5); }), HasSubstr("--rebuild"));
  LibrarySettings other = toy_.settings();
  other.model = library_model(load_pretrained(save_toy_model(folder_ / "other.safetensors", 4)));
  const std::string refused = message_from<ConfigError>([&] { toy_.index(other); });
  EXPECT_THAT(refused, testing::AllOf(HasSubstr("other.safetensors"), HasSubstr("model.safetensors"),
                                      HasSubstr("--rebuild")));
  const FolderWriter writer(toy_.library(), toy_.settings(), LibraryStart::add, null_log());
  EXPECT_THAT(message_from<ConfigError>([&] { toy_.index(); }), HasSubstr("another process"));
}

TEST_F(Indexer, ALostOrDamagedSegmentIsNamedAndMended) {
  write_wav(toy_.films() / "a.wav", 4, 440);
  toy_.index();
  write_wav(toy_.films() / "b.wav", 4, 330);
  toy_.index();
  std::vector<FoundMoment> before;
  {
    FolderReader library(toy_.library());
    before = moments_in(library);
    ASSERT_EQ(library.snapshot()->counts().segments, 2);
  }
  const fs::path segments = generation_folder(toy_.library(), 1) / "segments";
  for (const bool lost : {false, true}) {
    const fs::path victim = fs::directory_iterator(segments)->path();
    if (lost) {
      fs::remove(victim);
      EXPECT_THAT(message_from<DataError>([&] { FolderReader(toy_.library()); }),
                  testing::AllOf(HasSubstr(victim.filename().string()), HasSubstr("--check")));
    } else {
      std::fstream file(victim, std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(-8, std::ios::end);
      file.put('\x5a');
    }
    {
      FolderWriter writer(toy_.library(), toy_.settings(), LibraryStart::add, null_log());
      const LibraryCheck check = writer.check();
      ASSERT_EQ(check.damaged.size(), 1u);
      EXPECT_THAT(check.damaged[0], HasSubstr(victim.filename().string()));
      EXPECT_EQ(check.files_to_repeat, 1);
    }
    EXPECT_EQ(toy_.index().changed, 1);
    FolderWriter(toy_.library(), toy_.settings(), LibraryStart::add, null_log()).check();
    FolderReader library(toy_.library());
    expect_same(before, moments_in(library));
  }
}

}  // namespace
}  // namespace cavmae
