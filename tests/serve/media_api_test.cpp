// Pictures, clips and files over HTTP; only what lies in the library's folders.
#include <filesystem>

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "cavmae/data/pack.h"
#include "cavmae/search/folder_reader.h"
#include "cavmae/serve/media_paths.h"

#include "tests/serve/raw_client.h"
#include "tests/serve/toy_server.h"
#include "tests/support/background.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class MediaApi : public ServedToy {
 protected:
  // What the bytes of an answer hold.
  MediaInfo info_of(const httplib::Result& result, const std::string& name) const {
    return probe_media(media_in_memory(result->body, name));
  }
};

TEST_F(MediaApi, ShowsAMoment) {
  auto client = server_->client();
  const auto thumbnail = client.Get(moment_path("film.mp4", "video", "/thumbnail"));
  ASSERT_EQ(thumbnail->status, 200) << thumbnail->body;
  EXPECT_EQ(thumbnail->get_header_value("Content-Type"), "image/jpeg");
  EXPECT_EQ(info_of(thumbnail, "t.jpg").width_px, 96);
  const auto spectrogram = client.Get(moment_path("sounds/bird.wv", "audio", "/spectrogram"));
  ASSERT_EQ(spectrogram->status, 200) << spectrogram->body;
  EXPECT_EQ(info_of(spectrogram, "s.jpg").height_px, 32);
  const auto none = client.Get(moment_path("sounds/bird.wv", "audio", "/thumbnail"));
  EXPECT_EQ(none->status, 404);
  const auto again = client.Get(moment_path("film.mp4", "video", "/thumbnail"),
                                {{"If-None-Match", thumbnail->get_header_value("ETag")}});
  EXPECT_EQ(again->status, 304);
}

TEST_F(MediaApi, PlaysWhatNoBrowserPlays) {
  auto client = server_->client();
  const auto film_clip = client.Get(moment_path("old.avi", "video", "/clip"));
  ASSERT_EQ(film_clip->status, 200) << film_clip->body;
  EXPECT_EQ(film_clip->get_header_value("Content-Type"), "video/webm");
  const MediaInfo film_info = info_of(film_clip, "c.webm");
  EXPECT_EQ(film_info.video_codec, "vp8");
  EXPECT_EQ(film_info.audio_codec, "opus");
  EXPECT_NEAR(film_info.duration_seconds, 2.0, 0.15);
  const auto sound_clip = client.Get(moment_path("sounds/bird.wv", "audio", "/clip"));
  ASSERT_EQ(sound_clip->status, 200) << sound_clip->body;
  EXPECT_EQ(sound_clip->get_header_value("Content-Type"), "audio/ogg");
  EXPECT_EQ(info_of(sound_clip, "c.ogg").audio_codec, "opus");
  EXPECT_NEAR(info_of(sound_clip, "c.ogg").duration_seconds, 2.0, 0.1);
}

TEST_F(MediaApi, AnswersRanges) {
  auto client = server_->client();
  const int64_t id = best_of("sounds/hum.wav", "audio")["file"];
  const std::string path = "/v1/files/" + std::to_string(id) + "/media";
  const std::string whole = testing_support::read_whole(film("sounds/hum.wav"));
  const auto get = [&](const std::string& range) {
    return client.Get(path, httplib::Headers{{"Range", range}});
  };
  EXPECT_EQ(client.Get(path)->body, whole);
  EXPECT_EQ(client.Get(path)->get_header_value("Accept-Ranges"), "bytes");
  const auto part = get("bytes=10-19");
  EXPECT_EQ(part->status, 206);
  EXPECT_EQ(part->body, whole.substr(10, 10));
  EXPECT_EQ(part->get_header_value("Content-Range"), concat("bytes 10-19/", whole.size()));
  EXPECT_EQ(get("bytes=-5")->body, whole.substr(whole.size() - 5));
  EXPECT_EQ(get(concat("bytes=", whole.size() - 3, "-"))->body, whole.substr(whole.size() - 3));
  EXPECT_EQ(get("bytes=0-999999999")->body.size(), whole.size());
  EXPECT_EQ(get(concat("bytes=", whole.size(), "-"))->status, 416);
  const auto several = get("bytes=0-9,5-14,2-3");
  EXPECT_EQ(several->status, 200);
  EXPECT_EQ(several->body, whole);
  EXPECT_EQ(get("lines=1-2")->status, 416);  // the library does not know it
  const auto head = client.Head(path);
  EXPECT_EQ(head->get_header_value("Content-Length"), std::to_string(whole.size()));
  EXPECT_EQ(head->body, "");
  const auto other = client.Get(path, httplib::Headers{{"Range", "bytes=0-3"}, {"If-Range", "\"another\""}});
  EXPECT_EQ(other->status, 200);
  const auto clip =
      client.Get(moment_path("sounds/bird.wv", "audio", "/clip"), httplib::Headers{{"Range", "bytes=0-3"}});
  EXPECT_EQ(clip->status, 206);
  EXPECT_EQ(clip->body, "OggS");
}

TEST_F(MediaApi, AFileThatBecameALinkIsNotServed) {
  auto client = server_->client();
  const int64_t id = best_of("grey.png", "video")["file"];
  const std::string path = "/v1/files/" + std::to_string(id) + "/media";
  const std::string thumbnail = moment_path("grey.png", "video", "/thumbnail");
  EXPECT_EQ(client.Get(path)->status, 200);
  EXPECT_EQ(client.Get(thumbnail)->status, 200);
  fs::rename(film("grey.png"), folder_->path() / "kept.png");
  fs::create_symlink("/etc/passwd", film("grey.png"));
  EXPECT_EQ(client.Get(path)->status, 404);
  EXPECT_EQ(client.Get(thumbnail)->status, 404);
  fs::remove(film("grey.png"));
  EXPECT_EQ(client.Get(path)->status, 404);
  fs::rename(folder_->path() / "kept.png", film("grey.png"));
  EXPECT_EQ(client.Get(path)->status, 200);
}

// What is below a tar is played as what is below a folder.
TEST(MediaOfShards, IsPlayed) {
  CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_ffmpeg(), "ffmpeg");
  const TemporaryFolder folder;
  const ToyLibrary toy(folder.path());
  fs::create_directories(folder / "loose");
  write_video(folder / "loose/film.mp4", 4, "-c:v libx264 -g 20 -c:a aac", "sine=f=900:r=16000");
  write_wav(folder / "loose/hum.wav", 3, 120);
  PackOptions options;
  options.show_progress = false;
  pack_clips(read_clip_sources({folder / "loose"}, *null_log()), toy.films(), options, null_log());
  ASSERT_EQ(toy.index().added, 2);
  const RunningServer server(toy);
  auto client = server.client();
  FolderReader library(toy.library());
  for (const int64_t id : {1, 2}) {
    const std::string path = library.file(id)->path;
    const bool is_film = path.ends_with(".mp4");
    const std::string bytes =
        testing_support::read_whole(folder / (is_film ? "loose/film.mp4" : "loose/hum.wav"));
    EXPECT_EQ(fs::path(path).parent_path(), toy.films() / "shard-000000.tar");
    const auto whole = client.Get("/v1/files/" + std::to_string(id) + "/media");
    ASSERT_EQ(whole->status, 200) << whole->body;
    EXPECT_EQ(whole->get_header_value("Content-Type"), is_film ? "video/mp4" : "audio/wav");
    EXPECT_TRUE(whole->body == bytes);
    const auto part =
        client.Get("/v1/files/" + std::to_string(id) + "/media", {httplib::make_range_header({{100, -1}})});
    ASSERT_EQ(part->status, 206);
    EXPECT_TRUE(part->body == bytes.substr(100));
    const std::string moment = "/v1/moments/" + std::to_string(library.moments_of(id)[1].id);
    for (const char* what : {"/spectrogram", "/clip"}) {
      const auto seen = client.Get(moment + what);
      EXPECT_EQ(seen->status, 200) << what << ": " << seen->body;
    }
    EXPECT_EQ(client.Get(moment + "/thumbnail")->status, is_film ? 200 : 404);
  }
  fs::remove(toy.films() / "shard-000000.tar");
  EXPECT_EQ(client.Get("/v1/files/1/media")->status, 404);
}

// The connections of media are those on which it is still being sent.
TEST(MediaOfSlowReaders, LeavesConnectionsForTheRest) {
  CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_ffmpeg(), "ffmpeg");
  const TemporaryFolder folder;
  const ToyLibrary toy(folder.path());
  write_wav(toy.films() / "long.wav", 3, 440);
  toy.index();
  constexpr int64_t kMoreThanSocketsHold = 200'000'000;
  fs::resize_file(toy.films() / "long.wav", kMoreThanSocketsHold);
  const RunningServer server(toy, {.max_connections = 8});
  auto client = server.client();
  const auto media_status = [&] {
    const auto result = server.client().Get("/v1/files/1/media", {{"Range", "bytes=0-9"}});
    return result ? result->status : 0;
  };
  std::vector<std::unique_ptr<RawClient>> slow;
  for (int i = 0; i < 4; ++i) {
    slow.push_back(std::make_unique<RawClient>(server.port()));
    slow.back()->send("GET /v1/files/1/media HTTP/1.1\r\nHost: localhost\r\n\r\n");
  }
  EXPECT_TRUE(testing_support::wait_until([&] { return media_status() == 503; }, 9, "all places of media"));
  EXPECT_EQ(client.Get("/v1/library")->status, 200);
  slow.clear();
  EXPECT_TRUE(testing_support::wait_until([&] { return media_status() == 206; }, 20, "a place of media"));
}

TEST_F(MediaApi, AFileThatIsReplacedIsAnotherVersion) {
  auto client = server_->client();
  write_wav(film("sounds/replaced.wav"), 3, 700);
  toy_->index();
  const int64_t id = best_of("sounds/replaced.wav", "audio")["file"].get<int64_t>();
  const std::string path = "/v1/files/" + std::to_string(id) + "/media";
  const auto before = client.Get(path.c_str(), {{"Range", "bytes=0-9"}});
  ASSERT_EQ(before->status, 206);
  write_wav(film("sounds/other.wav"), 3, 900);
  fs::rename(film("sounds/other.wav"), film("sounds/replaced.wav"));
  // The library does not know yet.
  const auto after =
      client.Get(path.c_str(), {{"Range", "bytes=0-9"}, {"If-Range", before->get_header_value("ETag")}});
  EXPECT_EQ(after->status, 200);
  EXPECT_TRUE(after->body == testing_support::read_whole(film("sounds/replaced.wav")));
  fs::remove(film("sounds/replaced.wav"));
  toy_->prune();
}

TEST(MediaPaths, MembersOfTarsInsideTheRoots) {
  const TemporaryFolder folder;
  for (const char* name : {"a.wav", "b.wav"}) write_wav(folder / "loose" / name, 1, 300);
  PackOptions options;
  options.show_progress = false;
  const ClipList loose = read_clip_sources({folder / "loose"}, *null_log());
  for (const char* out : {"in", "other"}) pack_clips(loose, folder / out, options, null_log());
  fs::create_symlink(folder / "other/shard-000000.tar", folder / "in/linked.tar");
  const MediaPaths paths({folder / "in"}), named({folder / "other/shard-{000000..000003}.tar"});
  const auto bytes_of = [](const MediaPaths& from, const fs::path& path) -> int64_t {
    try {
      return from.open(path)->size();
    } catch (const HttpError& e) {
      EXPECT_EQ(e.status(), 404);
      return -1;
    }
  };
  const auto size = static_cast<int64_t>(fs::file_size(folder / "loose/a.wav"));
  EXPECT_EQ(bytes_of(paths, folder / "in/shard-000000.tar/000000001.wav"), size);
  EXPECT_EQ(bytes_of(paths, folder / "in/../in/shard-000000.tar/000000000.wav"), size);
  EXPECT_EQ(bytes_of(named, folder / "other/shard-000000.tar/000000001.wav"), size);
  EXPECT_EQ(bytes_of(paths, folder / "other/shard-000000.tar/000000001.wav"), -1);
  EXPECT_EQ(bytes_of(paths, folder / "in/linked.tar/000000001.wav"), -1);
  EXPECT_EQ(bytes_of(paths, folder / "in/shard-000000.tar/000000002.wav"), -1);
  EXPECT_EQ(bytes_of(paths, folder / "in/shard-000000.tar/../shard-000000.tar"), -1);
  EXPECT_EQ(bytes_of(paths, folder / "in/shard-000000.tar/../../loose/a.wav"), -1);
  // An index that belongs to another tar is not believed.
  std::ofstream(folder / "in/shard-000000.tar", std::ios::trunc) << "no tar";
  EXPECT_EQ(bytes_of(paths, folder / "in/shard-000000.tar/000000001.wav"), -1);
}

TEST(MediaPaths, OnlyFilesInsideTheRoots) {
  const TemporaryFolder folder;
  const auto at = [&](const std::string& name) { return folder / name; };
  for (const char* name : {"root/in/a.wav", "other/b.wav", "rootless/c.wav", "single.wav"})
    write_text(at(name), "x");
  fs::create_directories(at("root/folder"));
  fs::create_symlink(at("other"), at("root/out"));
  fs::create_symlink(at("other/b.wav"), at("root/out.wav"));
  fs::create_symlink(at("root/in"), at("root/inner"));
  fs::create_symlink("../root/in/a.wav", at("other/back.wav"));
  fs::create_symlink(at("root"), at("linked_root"));
  ASSERT_EQ(::mkfifo(at("root/pipe.wav").c_str(), 0600), 0);
  const MediaPaths paths({at("linked_root"), at("single.wav"), at("gone"), "/"});
  EXPECT_THAT(paths.roots(),
              testing::ElementsAre(fs::canonical(at("root")), fs::canonical(at("single.wav"))));
  const auto opens = [&](const fs::path& path) {
    try {
      return paths.open(path)->size() == 1;
    } catch (const HttpError& e) {
      EXPECT_EQ(e.status(), 404);
      return false;
    }
  };
  EXPECT_TRUE(opens(at("root/in/a.wav")));
  EXPECT_TRUE(opens(at("linked_root/in/a.wav")));
  EXPECT_TRUE(opens(at("root/inner/a.wav")));  // a link that stays inside
  EXPECT_TRUE(opens(at("other/back.wav")));    // leads inside
  EXPECT_TRUE(opens(at("single.wav")));
  EXPECT_TRUE(opens(at("other/../root/in/../in/a.wav")));
  EXPECT_FALSE(opens(at("root/out/b.wav")));
  EXPECT_FALSE(opens(at("root/out.wav")));
  EXPECT_FALSE(opens(at("root/../other/b.wav")));
  EXPECT_FALSE(opens(at("rootless/c.wav")));  // begins with the root's name
  EXPECT_FALSE(opens(at("root/folder")));
  EXPECT_FALSE(opens(at("root/pipe.wav")));  // and does not wait for a writer
  EXPECT_FALSE(opens(at("root/none.wav")));
  EXPECT_FALSE(opens("/etc/passwd"));
  EXPECT_FALSE(opens("relative.wav"));
}

TEST(Ranges, AreReadAsTheyAreWritten) {
  using Part = std::pair<int64_t, int64_t>;
  EXPECT_EQ(parse_range("bytes=0-0", 10), Part(0, 1));
  EXPECT_EQ(parse_range("bytes=3-", 10), Part(3, 7));
  EXPECT_EQ(parse_range("bytes=-3", 10), Part(7, 3));
  EXPECT_EQ(parse_range("bytes=-30", 10), Part(0, 10));
  EXPECT_EQ(parse_range("bytes=2-99", 10), Part(2, 8));
  for (const char* wrong : {"", "bytes", "bytes=", "bytes=-", "bytes=5-2", "bytes=a-b", "bytes=1-2,4-5",
                            "bytes= 1-2", "bits=0-1"})
    EXPECT_EQ(parse_range(wrong, 10), std::nullopt) << wrong;
  for (const char* beyond : {"bytes=10-", "bytes=10-12", "bytes=-0"})
    EXPECT_THROW(parse_range(beyond, 10), HttpError);
}

}  // namespace
}  // namespace cavmae
