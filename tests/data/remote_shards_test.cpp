// Clips in shards behind a web server and in an object store.
#include <sstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include "cavmae/data/loader.h"
#include "cavmae/data/shard_index.h"
#include "cavmae/storage/remote_client.h"

#include "tests/data/packed_media.h"
#include "tests/support/servers.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::Environment;
using testing_support::FaultyServer;
using testing_support::Nginx;
using testing_support::object_store_keys;
using testing_support::ObjectStore;

class RemoteShards : public PackedMedia {
 protected:
  void SetUp() override {
    CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_nginx(), "nginx");
    PackedMedia::SetUp();
    if (IsSkipped()) return;
    pack({.shard_bytes = 1});  // a clip a shard
    server_ = std::make_unique<Nginx>(folder_.path());
  }
  ClipList read(const std::string& path, const ListOptions& options = {}) const {
    return read_clip_sources({server_->url(path)}, *null_log(), options);
  }
  void remove_indices() const {
    for (int i = 0; i < 4; ++i)
      fs::remove(shard_index_path(folder_ / concat("shards/shard-00000", i, ".tar")));
  }
  // How often something of shards was asked for, or of one; not of what lies beside them.
  size_t requests(const std::string& shard = "") const {
    // A line is written when its answer has gone out already, and before the next request is looked at.
    RemoteClient({}, null_log()).facts(server_->url("shards/shard-000001.tar"));
    std::istringstream log(server_->log());
    size_t count = 0;
    for (std::string line; std::getline(log, line);)
      count += line.find(concat("GET /shards/", shard)) != std::string::npos &&
                       line.find(".tar ") != std::string::npos
                   ? 1
                   : 0;
    return count;
  }
  std::unique_ptr<Nginx> server_;
  const Environment caches_{{"XDG_CACHE_HOME", (folder_ / "caches").string()}};
};

TEST_F(RemoteShards, AreTheClipsOfTheList) {
  expect_alike(read("shards"));
  expect_alike(read("shards/"));
  expect_alike(read("shards/shard-{000000..000003}.tar"));
  expect_alike(read("shards/shard-{000000..000001}.tar::" + (folder_ / "shards/shard-000002.tar").string() +
                    "::" + server_->url("shards/shard-000003.tar")));
  EXPECT_THAT(read("shards")[0].frames[0].name(), HasSubstr("shards/shard-000000.tar/000000000.0.png"));
}

TEST_F(RemoteShards, WithoutAnIndexAreScanned) {
  remove_indices();
  expect_alike(read("shards"));
  write_text(folder_ / "shards/shard-000000.tar.index.jsonl", "{}");
  expect_alike(read("shards"));
}

TEST_F(RemoteShards, WithoutAnIndexAreScannedOnce) {
  remove_indices();
  expect_alike(read("shards"));
  const size_t before = requests();
  EXPECT_GT(before, 0u);
  const ClipList again = read("shards");
  EXPECT_EQ(requests(), before) << "nothing of a tar is asked for before a clip is read";
  expect_alike(again);
  // Of a tar that has become another, and where what was kept is damaged, it is made anew.
  fs::last_write_time(folder_ / "shards/shard-000000.tar",
                      fs::last_write_time(folder_ / "shards/shard-000000.tar") + std::chrono::seconds(5));
  const size_t of_first = requests("shard-000000"), of_second = requests("shard-000001");
  const ClipList changed = read("shards");
  EXPECT_GT(requests("shard-000000"), of_first);
  EXPECT_EQ(requests("shard-000001"), of_second);
  expect_alike(changed);
  size_t damaged = 0;
  for (const auto& entry : fs::directory_iterator(folder_ / "caches/cavmae/shards"))
    if (entry.path().extension() == ".jsonl") {
      fs::resize_file(entry.path(), fs::file_size(entry.path()) - 5);
      ++damaged;
    }
  EXPECT_EQ(damaged, 4u);
  const size_t until_damaged = requests();
  expect_alike(read("shards"));
  EXPECT_GT(requests(), until_damaged);
}

// The bytes are as many and lie at the same places, but a label is another.
TEST_F(RemoteShards, AnIndexThatIsOlderThanItsTarIsNotUsed) {
  const fs::path tar = folder_ / "shards/shard-000000.tar", index = shard_index_path(tar);
  std::string list = read_text(folder_ / "clips.jsonl");
  list.replace(list.find("\"dog\""), 5, "\"cow\"");
  write_text(folder_ / "changed.jsonl", list);
  loose_ = read_clip_sources({folder_ / "changed.jsonl"}, *null_log());
  pack({.shard_bytes = 1}, "changed");
  ASSERT_EQ(fs::file_size(folder_ / "changed/shard-000000.tar"), fs::file_size(tar));
  const auto time = fs::last_write_time(tar);
  fs::copy_file(folder_ / "changed/shard-000000.tar", tar, fs::copy_options::overwrite_existing);
  fs::last_write_time(tar, time + std::chrono::seconds(100));
  std::ostringstream lines;
  Log log("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(lines));
  expect_alike(read_clip_sources({server_->url("shards")}, log));
  EXPECT_THAT(lines.str(), AllOf(HasSubstr("shard-000000.tar: the index beside it"), HasSubstr("older")));
  // What was put there anew need not have kept its time.
  fs::copy_file(shard_index_path(folder_ / "changed/shard-000000.tar"), index,
                fs::copy_options::overwrite_existing);
  fs::last_write_time(index, time + std::chrono::seconds(101));
  fs::remove_all(folder_ / "caches");
  const size_t before = requests();
  const ClipList found = read("shards");
  EXPECT_EQ(requests(), before) << "the index says it all";
  expect_alike(found);
}

TEST_F(RemoteShards, WhatTheyHoldNeedNotBeKept) {
  remove_indices();
  const Environment no_folder{{"XDG_CACHE_HOME", (folder_ / "clips.jsonl").string()}};
  for (int start = 0; start < 2; ++start) {
    std::ostringstream lines;
    Log log("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(lines));
    expect_alike(read_clip_sources({server_->url("shards")}, log));
    const std::string text = lines.str();
    const size_t at = text.find("cannot be kept");
    ASSERT_NE(at, std::string::npos) << text;
    EXPECT_EQ(text.find("cannot be kept", at + 1), std::string::npos) << "once, not for each shard";
  }
}

TEST_F(RemoteShards, AreCopiedOnce) {
  const ListOptions options{.shard_cache = (folder_ / "copies").string()};
  expect_alike(read("shards", options));
  const size_t before = requests();
  expect_alike(read("shards", options));
  EXPECT_EQ(requests(), before);
  // A tar that has become another is copied anew.
  fs::last_write_time(folder_ / "shards/shard-000000.tar",
                      fs::last_write_time(folder_ / "shards/shard-000000.tar") + std::chrono::seconds(5));
  expect_alike(read("shards", options));
  EXPECT_EQ(requests(), before + 1);
  // From a server without ranges this is the only way.
  expect_alike(read("whole/shards", options));
}

TEST_F(RemoteShards, ThatAreNotThereAreNamed) {
  const auto message = [&](const std::string& path) { return message_from<DataError>([&] { read(path); }); };
  EXPECT_THAT(message("shards/no.tar"), AllOf(HasSubstr("shards/no.tar"), HasSubstr("404")));
  EXPECT_THAT(message("secret/no.tar"), HasSubstr("403"));
  EXPECT_THAT(message("media"), AllOf(HasSubstr("name them"), HasSubstr(".tar")));
  ASSERT_EQ(testing_support::run_shell("gzip -c '" + (folder_ / "shards/shard-000000.tar").string() + "' >'" +
                                       (folder_ / "z.tar").string() + "'")
                .exit_code,
            0);
  EXPECT_THAT(message("z.tar"), AllOf(HasSubstr("z.tar"), HasSubstr("is compressed"), HasSubstr("gzip -d")));
}

// Batches, their order and their masks' clips are those of loose files, with one worker or three.
TEST_F(RemoteShards, GiveTheSameBatches) {
  const auto batches = [&](const ClipList& clips, int64_t workers) {
    const auto reader = std::make_shared<const ClipReader>(tiny_features());
    Loader loader(clips, reader, training_view(), Need::audio, {.batch_size = 2, .num_workers = workers},
                  null_log());
    std::vector<Batch> out;
    for (int64_t epoch = 0; epoch < 3; ++epoch) {
      loader.start_epoch({.epoch = epoch, .seed = 5});
      while (auto batch = loader.next()) out.push_back(std::move(*batch));
    }
    return out;
  };
  const auto wanted = batches(loose_, 0);
  ASSERT_GT(wanted.size(), 3u);
  for (const int64_t workers : {1, 3}) {
    const auto found = batches(read("shards"), workers);
    ASSERT_EQ(found.size(), wanted.size());
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i].indices, wanted[i].indices);
      EXPECT_TRUE(same_bits(found[i].audio, wanted[i].audio));
    }
  }
}

TEST_F(RemoteShards, AServerThatGoesAwayEndsAReadOnlyAfterItsPatience) {
  const ClipList clips = read("shards");
  server_->stop();
  std::jthread back([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(1200));
    server_->start();
  });
  expect_alike(clips);
  back.join();
}

TEST_F(RemoteShards, OfAnObjectStoreAreRead) {
  CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_object_store(),
                              "s3rver (npm ci in tests/storage/s3rver)");
  const ObjectStore store;
  const Environment keys = object_store_keys(store);
  for (const auto& entry : fs::directory_iterator(folder_ / "shards"))
    store.put("set=1/a+b ü/" + entry.path().filename().string(), entry.path());
  const auto read = [](const std::string& data) { return read_clip_sources({data}, *null_log()); };
  expect_alike(read("s3://clips/set=1/a+b ü"));
  expect_alike(read("s3://clips/set=1/a+b ü/shard-{000000..000003}.tar"));
}

TEST_F(RemoteShards, OfAnObjectStoreAreListed) {
  CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_object_store(),
                              "s3rver (npm ci in tests/storage/s3rver)");
  const ObjectStore store;
  const Environment keys = object_store_keys(store);
  for (const auto& entry : fs::directory_iterator(folder_ / "shards"))
    if (entry.path().extension() == ".tar") store.put("x/" + entry.path().filename().string(), entry.path());
  expect_alike(read_clip_sources({"s3://clips/x/"}, *null_log()));
  const auto message = [](const char* data) {
    return message_from<DataError>([&] { read_clip_sources({data}, *null_log()); });
  };
  EXPECT_THAT(message("s3://clips/y"), HasSubstr("holds no .tar"));
  store.put("z/a.tar.zst", folder_ / "shards/shard-000000.tar");
  EXPECT_THAT(message("s3://clips/z"), AllOf(HasSubstr("z/a.tar.zst"), HasSubstr("is compressed")));
}

}  // namespace
}  // namespace cavmae
