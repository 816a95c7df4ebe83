// A library of one's own archive, as a user makes and searches it.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/json.h"
#include "cavmae/media/media_reader.h"

#include "tests/data/toy_media.h"
#include "tests/support/background.h"
#include "tests/support/media_tensors.h"
#include "tests/support/program.h"
#include "tests/support/tools.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing_support::Background;
using testing_support::Outcome;
using testing_support::run_cavmae;

constexpr const char* kSmallRun = R"({
  "epochs": 1,
  "model": {"num_fbank_frames": 96, "num_mel_bins": 32, "image_size": 32, "embed_dim": 32, "num_heads": 2,
            "modality_depth": 1, "decoder_depth": 1, "decoder_embed_dim": 32, "decoder_num_heads": 2},
  "data": {"window_seconds": 1.0, "num_frames": 4},
  "loader": {"batch_size": 4}
})";

class LibraryCommands : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder();
    std::ofstream(*folder_ / "pretrain.json") << kSmallRun;
    ASSERT_EQ(
        run_cavmae("synth --out " + path("clips") + " --clips 12 --seconds 1 --image-size 48").exit_code, 0);
    const Outcome outcome = run_cavmae("pretrain --config " + path("pretrain.json") + " --data " +
                                       path("clips") + " --out " + path("run") + " --no-report");
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    fs::create_directories(*folder_ / "films");
    write_video(*folder_ / "films/long.mkv", 8, "-c:v libx264 -g 20 -c:a pcm_s16le",
                "aevalsrc='sin(2*PI*t*(200+150*floor(t)))':s=16000");
    write_video(*folder_ / "films/short.mp4", 1.5);
    const Outcome indexed =
        run_cavmae("index " + path("library") + " --data " + path("films") + " --data " + path("clips") +
                   " --checkpoint " + path("run") + " --json " + path("i.json"));
    ASSERT_EQ(indexed.exit_code, 0) << indexed.err;
  }
  static void TearDownTestSuite() { delete folder_; }

  static std::string path(const std::string& name) { return (*folder_ / name).string(); }
  static Json search(const std::string& query) {
    const Outcome outcome = run_cavmae("search " + path("library") + " " + query + " --json -");
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.exit_code == 0 ? Json::parse(outcome.out) : Json();
  }

  static TemporaryFolder* folder_;
};
TemporaryFolder* LibraryCommands::folder_ = nullptr;

TEST_F(LibraryCommands, IndexTellsWhatItDid) {
  const Json json = read_json(*folder_ / "i.json");
  EXPECT_EQ(json["added"], 14);
  EXPECT_EQ(json["files"], 14);
  EXPECT_EQ(json["moments"], 12 + 15 + 2);
  const Outcome again = run_cavmae("index " + path("library"));
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("0 files added, 0 changed, 0 moved, 14 unchanged"));
}

TEST_F(LibraryCommands, InfoDescribesIt) {
  const Outcome outcome = run_cavmae("info " + path("library") + " --json " + path("info.json"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("moments        29, of 1 s, 0.5 s apart"), HasSubstr(path("films"))));
  EXPECT_EQ(read_json(*folder_ / "info.json")["kind"], "library");
}

TEST_F(LibraryCommands, FindsTheMomentThatAQueryIsCutFrom) {
  const Json json = search("--audio " + path("films/long.mkv") + " --at 5.5 --for audio");
  const Json& first = json["results"][0];
  EXPECT_EQ(first["path"], path("films/long.mkv"));
  EXPECT_EQ(first["moments"][0]["start_seconds"], 5.5);
  EXPECT_NEAR(first["moments"][0]["similarity"].get<double>(), 1.0, 1e-4);
  EXPECT_EQ(first["moments"][0]["query"], "audio");
  EXPECT_EQ(first["moments"][0]["found"], "audio");
}

TEST_F(LibraryCommands, SearchesByPicturesByFilmsAndByMomentsOfItsOwn) {
  write_png(*folder_ / "picture.png", frame_tensors(*folder_ / "films/long.mkv", {2.0})[0]);
  for (const std::string& query : {"--image " + path("picture.png"), "--video " + path("films/short.mp4"),
                                   std::string("--like long.mkv@2.5")}) {
    const Json json = search(query + " --top 3 --moments 2");
    EXPECT_EQ(json["results"].size(), 3u) << query;
    double last = 1.0;
    for (const Json& hit : json["results"]) {
      EXPECT_LE(hit["moments"].size(), 2u);
      EXPECT_LE(hit["moments"][0]["score"].get<double>(), last);
      last = hit["moments"][0]["score"].get<double>();
    }
  }
  const Json like = search("--like long.mkv@2.5 --by video --for video --under " + path("films"));
  EXPECT_EQ(like["results"].size(), 2u);
  EXPECT_EQ(like["results"][0]["moments"][0]["start_seconds"], 2.0);
  EXPECT_NEAR(like["results"][0]["moments"][0]["similarity"].get<double>(), 1.0, 1e-6);
}

TEST_F(LibraryCommands, EqualsTheRanksOfRetrieve) {
  // A library of the clips alone; a clip of one second is one moment, with the vectors that retrieve
  // compares.
  ASSERT_EQ(run_cavmae("index " + path("flat") + " --precision fp32 --data " + path("clips") +
                       " --checkpoint " + path("run"))
                .exit_code,
            0);
  const Outcome outcome = run_cavmae("retrieve --checkpoint " + path("run") + " --data " + path("clips") +
                                     " --frames all --json " + path("r.json"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json retrieval = read_json(*folder_ / "r.json");
  // At which place a clip's own other side comes among all: of one that is asked for by its sound as a file,
  // and by its pictures as a moment.
  std::vector<double> of_sounds, of_pictures;
  const auto place = [&](const std::string& clip, const std::string& query) {
    const Outcome found = run_cavmae("search " + path("flat") + " " + query + " --top 12 --json -");
    EXPECT_EQ(found.exit_code, 0) << found.err;
    const Json results = found.exit_code == 0 ? Json::parse(found.out)["results"] : Json::array();
    EXPECT_EQ(results.size(), 12u) << query;
    for (size_t i = 0; i < results.size(); ++i)
      if (results[i]["path"] == clip) return static_cast<double>(i + 1);
    ADD_FAILURE() << clip << " is not among them";
    return 0.0;
  };
  for (const auto& entry : fs::recursive_directory_iterator(*folder_ / "clips")) {
    if (entry.path().extension() != ".mp4") continue;
    const std::string clip = entry.path().string();
    of_sounds.push_back(place(clip, "--audio " + clip + " --for video"));
    of_pictures.push_back(place(clip, "--like " + clip + "@0 --by video --for audio"));
  }
  ASSERT_EQ(of_sounds.size(), 12u);
  for (auto& [direction, places] :
       {std::pair("audio_to_video", &of_sounds), std::pair("video_to_audio", &of_pictures)}) {
    std::ranges::sort(*places);
    const Json& expected = retrieval[direction];
    const auto share = [&](int k) {
      return static_cast<double>(std::ranges::count_if(*places, [&](double at) { return at <= k; })) / 12;
    };
    EXPECT_NEAR(expected["r1"].get<double>(), share(1), 1e-9) << direction << expected.dump();
    EXPECT_NEAR(expected["r5"].get<double>(), share(5), 1e-9) << direction << expected.dump();
    EXPECT_NEAR(expected["r10"].get<double>(), share(10), 1e-9) << direction << expected.dump();
    EXPECT_NEAR(expected["median_rank"].get<double>(), ((*places)[5] + (*places)[6]) / 2, 1e-9)
        << direction << expected.dump();
  }
}

TEST_F(LibraryCommands, ExportsWhatItFound) {
  const Outcome outcome =
      run_cavmae("search " + path("library") +
                 " --like long.mkv@5.5 --by audio --for audio --top 2 --export " + path("cut"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("long.mkv"));
  const fs::path cut = *folder_ / "cut/001_long_5000ms.mp4";
  ASSERT_TRUE(fs::exists(cut)) << outcome.out;
  const MediaInfo info = probe_media(cut);
  EXPECT_TRUE(info.has_audio && info.has_video);
  EXPECT_NEAR(info.duration_seconds, 1.0, 0.1);
  EXPECT_EQ(info.width_px, 96);
  // The other moments of the file that are listed, too.
  const auto of_the_first = std::ranges::count_if(
      fs::directory_iterator(*folder_ / "cut"),
      [](const auto& entry) { return entry.path().filename().string().starts_with("001_long_"); });
  EXPECT_EQ(of_the_first, 3);
}

TEST_F(LibraryCommands, ErrorsSayWhatToDo) {
  const auto refused = [](const std::string& arguments, int code) {
    const Outcome outcome = run_cavmae(arguments);
    EXPECT_EQ(outcome.exit_code, code) << arguments << outcome.err;
    return outcome.err;
  };
  EXPECT_THAT(refused("search " + path("films") + " --audio x.wav", 2), HasSubstr("cavmae index"));
  EXPECT_THAT(refused("search " + path("library"), 2), HasSubstr("--like"));
  EXPECT_THAT(refused("search " + path("library") + " --audio a --image b", 2), HasSubstr("only one"));
  EXPECT_THAT(refused("search " + path("library") + " --like long.mkv", 2), HasSubstr("talk.mp4@12.5"));
  EXPECT_THAT(refused("search " + path("library") + " --like nothing.mkv@1", 1),
              HasSubstr("is not in the library"));
  EXPECT_THAT(refused("search " + path("library") + " --audio " + path("none.wav"), 1),
              HasSubstr("none.wav"));
  EXPECT_THAT(refused("index " + path("other") + " --data " + path("films"), 2), HasSubstr("--checkpoint"));
  EXPECT_THAT(
      refused("index " + path("films") + " --data " + path("films") + " --checkpoint " + path("run"), 2),
      HasSubstr("holds other files"));
  EXPECT_THAT(refused("index " + path("library") + " --hop 0.25", 2), HasSubstr("--rebuild"));
}

// Killed while it adds; what was committed stays, and the same command ends with the moments of one that
// nothing disturbed.
TEST_F(LibraryCommands, GoesOnWhereItWasKilled) {
  const std::string index = "index " + path("killed") + " --batch-size 2 --num-workers 1 --data " +
                            path("films") + " --data " + path("clips") + " --checkpoint " + path("run");
  const fs::path database = *folder_ / "killed/generation-000001/library.sqlite-wal";
  const Outcome outcome = testing_support::run_and_signal(
      index, SIGKILL,
      [&](const Background&) { return fs::exists(database) && fs::file_size(database) > 120000; },
      "the first files to be added", [&] { fs::remove_all(*folder_ / "killed"); });
  EXPECT_EQ(outcome.ended_by, SIGKILL);
  const Outcome rest = run_cavmae(index + " --check --json -");
  ASSERT_EQ(rest.exit_code, 0) << rest.err;
  const Json json = Json::parse(rest.out);
  EXPECT_EQ(json["moments"], 29);
  EXPECT_EQ(json["files"], 14);
  EXPECT_TRUE(json["damaged_segments"].empty());
  EXPECT_EQ(json["added"].get<int>() + json["unchanged"].get<int>(), 14);
}

TEST_F(LibraryCommands, GoesOnWithoutWhatIsAway) {
  const fs::path disk = *folder_ / "disk", mounted = *folder_ / "mounted", library = *folder_ / "two_places";
  write_wav(disk / "a.wav", 1.5, 300);
  write_wav(mounted / "b.wav", 1.5, 500);
  const std::string index = "index " + library.string();
  const std::string data = " --data " + disk.string() + " --data " + mounted.string();
  ASSERT_EQ(run_cavmae(index + data + " --checkpoint " + path("run")).exit_code, 0);
  fs::rename(mounted, *folder_ / "unmounted");
  const Outcome named = run_cavmae(index + data);
  EXPECT_EQ(named.exit_code, 1);
  EXPECT_THAT(named.err, HasSubstr("does not exist"));
  const Outcome kept = run_cavmae(index + " --prune");
  EXPECT_EQ(kept.exit_code, 0) << kept.err;
  EXPECT_THAT(kept.err, HasSubstr("--forget " + mounted.string()));
  EXPECT_THAT(kept.out, HasSubstr("2 files, "));
  const Outcome wrong = run_cavmae(index + " --forget " + (*folder_ / "elsewhere").string());
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("it is from " + disk.string() + ", " + mounted.string()));
  const Outcome forgotten = run_cavmae(index + " --forget " + mounted.string());
  EXPECT_EQ(forgotten.exit_code, 0) << forgotten.err;
  EXPECT_THAT(forgotten.out, HasSubstr("1 unchanged, 1 removed"));
  EXPECT_THAT(forgotten.out, HasSubstr("1 files, "));
  EXPECT_EQ(run_cavmae(index).err.find("mounted"), std::string::npos);
}

TEST_F(LibraryCommands, ARebuildWithAnotherWindowHasItsHop) {
  const fs::path films = *folder_ / "hop_films", library = *folder_ / "hop_library";
  write_wav(films / "a.wav", 4, 300);
  ASSERT_EQ(
      run_cavmae("index " + library.string() + " --data " + films.string() + " --checkpoint " + path("run"))
          .exit_code,
      0);
  const double before = read_json(library / "library.json")["hop_seconds"];
  const Outcome outcome = run_cavmae("index " + library.string() + " --rebuild --checkpoint " + path("run") +
                                     " --window-seconds " + std::to_string(before));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_DOUBLE_EQ(read_json(library / "library.json")["hop_seconds"].get<double>(), before / 2);
}

TEST_F(LibraryCommands, WatchAddsWhatAppears) {
  const fs::path films = *folder_ / "watched", library = *folder_ / "watched_library";
  fs::create_directories(films);  // empty as yet
  Background program("index " + library.string() + " --watch --data " + films.string() + " --checkpoint " +
                     path("run"));
  const auto holds = [&](const std::string& file) {
    return fs::exists(library / "library.json") &&
           run_cavmae("search " + library.string() + " --like " + file + "@0").exit_code == 0;
  };
  ASSERT_TRUE(testing_support::wait_until([&] { return program.err().find("watching") != std::string::npos; },
                                          120, "the watch"))
      << program.err();
  write_wav(films / "first.wav", 1.5, 300);
  ASSERT_TRUE(testing_support::wait_until([&] { return holds("first.wav"); }, 120, "the first file"))
      << program.err();
  write_wav(films / "below/second.wav", 1.5, 500);
  ASSERT_TRUE(testing_support::wait_until([&] { return holds("second.wav"); }, 120, "the second file"))
      << program.err();
  // A folder that has come is watched as well.
  write_wav(films / "below/third.wav", 1.5, 700);
  ASSERT_TRUE(testing_support::wait_until([&] { return holds("third.wav"); }, 120, "the third file"))
      << program.err();
  program.send(SIGTERM);
  EXPECT_EQ(program.wait(60).exit_code, 0);
}

}  // namespace
}  // namespace cavmae
