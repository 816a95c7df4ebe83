#include <algorithm>
#include <cstring>
#include <sstream>
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include "cavmae/core/files.h"
#include "cavmae/data/pack.h"
#include "cavmae/data/read_clips.h"
#include "cavmae/data/shard_index.h"
#include "cavmae/data/shard_names.h"
#include "cavmae/data/shard_sample.h"
#include "cavmae/media/media_reader.h"

#include "tests/data/packed_media.h"
#include "tests/support/media_tensors.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::run_shell;

class Shards : public PackedMedia {
 protected:
  std::string refusal(const std::string& tar) const {
    return message_from<DataError>([&] { scan_tar(folder_ / tar); });
  }
};

TEST_F(Shards, HoldTheClipsOfTheList) {
  const PackResult result = pack({});
  EXPECT_EQ(result.clips, 4);
  EXPECT_EQ(result.shards, 1);
  EXPECT_EQ(result.bytes, static_cast<int64_t>(fs::file_size(folder_ / "shards/shard-000000.tar")));
  expect_alike(packed());
  // By their names too, and elsewhere.
  fs::rename(folder_ / "shards", folder_ / "moved");
  expect_alike(read_clip_sources({folder_ / "moved/shard-{000000..000000}.tar"}, *null_log()));
}

TEST_F(Shards, AreWhatTarReads) {
  pack({});
  const auto listed = run_shell("tar -tf '" + (folder_ / "shards/shard-000000.tar").string() + "'");
  EXPECT_THAT(listed.out, AllOf(HasSubstr("000000000.json\n000000000.wav\n000000000.0.png\n"),
                                HasSubstr("000000003.mkv\n")));
}

TEST_F(Shards, GoOnBehindTheLastWholeOneWithTheSameBytes) {
  pack({.shard_bytes = 1}, "whole");  // a clip a shard
  pack({.shard_bytes = 1});
  const auto bytes = [&](const std::string& out, int shard) {
    return read_text(folder_ / out / concat("shard-00000", shard, ".tar"));
  };
  fs::remove(folder_ / "shards/shard-000002.tar");  // and a later one was never written
  write_text(folder_ / "shards/shard-000003.tar.part", "half");
  const auto first = fs::last_write_time(folder_ / "shards/shard-000000.tar");
  EXPECT_EQ(pack({.shard_bytes = 1}).clips, 4);
  EXPECT_EQ(fs::last_write_time(folder_ / "shards/shard-000000.tar"), first);
  for (int shard = 0; shard < 4; ++shard) EXPECT_EQ(bytes("whole", shard), bytes("shards", shard)) << shard;
  expect_alike(packed());
  EXPECT_THAT(message_from<ConfigError>([&] { pack({.shard_bytes = 2}); }), HasSubstr("other options"));
  EXPECT_EQ(read_json(folder_ / "shards/shards.json")["samples"], 4);
}

TEST_F(Shards, OfAListThatHasChangedAreLeftAlone) {
  const auto refusal_of = [&](const std::string& from, const std::string& to) {
    std::string list = read_text(folder_ / "clips.jsonl");
    list.replace(list.find(from), from.size(), to);
    write_text(folder_ / "changed.jsonl", list);
    loose_ = read_clip_sources({folder_ / "changed.jsonl"}, *null_log());
    return message_from<ConfigError>([&] { pack({.shard_bytes = 1}); });
  };
  pack({.shard_bytes = 1});
  for (const auto& [from, to, what] :
       {std::tuple{"\"start_seconds\": 1.5", "\"start_seconds\": 1", "(start_and_end_seconds)"},
        {"media/1.wav", "media/0.wav", "(files)"},
        {"media/2.png", "media/1.png", "(files)"},
        {", \"labels\": [\"dog\"]", "", "(labels)"},
        {"\"one\"", "\"two\"", "(ids)"}})
    EXPECT_THAT(refusal_of(from, to),
                AllOf(HasSubstr("shards"), HasSubstr(what), HasSubstr("give another --out, or remove it")));
  write_text(folder_ / "moved.jsonl", read_text(folder_ / "clips.jsonl"));
  loose_ = read_clip_sources({folder_ / "moved.jsonl"}, *null_log());
  EXPECT_EQ(pack({.shard_bytes = 1}).clips, 4) << "the same clips by another list";
}

TEST_F(Shards, OfPreparedClipsHoldTheirWindowAndPictures) {
  const PackResult result =
      pack({.prepare = PreparedPictures{.num_frames = 4, .shorter_side_px = 48, .window_seconds = 2.0}});
  EXPECT_EQ(result.clips, 4);
  const ClipList found = packed();
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found.id(3), loose_.id(3));
  EXPECT_EQ(found[0].frames.size(), 3u) << "no more than there are";
  ASSERT_EQ(found[3].frames.size(), 4u);
  EXPECT_FALSE(found[3].start_seconds) << "the window is all of it";
  const torch::Tensor sound = audio_tensor(found[3].audio, {.duration_seconds = 10}),
                      wanted = audio_tensor(loose_[3].audio, {.start_seconds = 1.5, .duration_seconds = 2});
  ASSERT_EQ(sound.sizes(), wanted.sizes());
  EXPECT_LE((sound - wanted).abs().max().item<float>(), 0.51f / 32768);
  EXPECT_EQ(std::min(image_tensor(found[3].frames[0]).size(0), image_tensor(found[3].frames[0]).size(1)), 48);
}

TEST_F(Shards, OfOthersAreRead) {
  const std::string longer = std::string(60, 'n') + "/" + std::string(60, 'm');
  fs::create_directories(folder_ / "their" / longer);
  fs::copy_file(folder_ / "media/0.wav", folder_ / "their" / longer / "a.wav");
  for (int i = 0; i < 12; ++i)
    fs::copy_file(folder_ / concat("media/", i % 4, ".png"),
                  folder_ / "their" / longer / concat("a.", i, ".png"));
  write_text(folder_ / "their" / longer / "a.json", R"({"label": 3, "audio": {"codec": "opus"}, "id": 12})");
  write_text(folder_ / "their/about.json", R"({"made": "elsewhere"})");
  fs::copy_file(folder_ / "media/a b.x.mkv", folder_ / "their/b.mkv");
  write_text(folder_ / "their/b.txt", "a caption");
  write_text(folder_ / "their/README", "no clip");
  for (const char* format : {"ustar", "gnu", "pax"}) {
    const std::string tar = concat(format, ".tar");
    const auto made = run_shell("cd '" + (folder_ / "their").string() +
                                "' && tar --sort=name --format=" + format + " -cf ../" + tar + " $(ls)");
    ASSERT_EQ(made.exit_code, 0) << made.err;
    const ClipList clips = read_clip_sources({folder_ / tar}, *null_log());
    ASSERT_EQ(clips.size(), 2u) << format;
    EXPECT_EQ(clips.id(0), "b");
    const ClipSource clip = clips[1];
    EXPECT_EQ(clip.id, "a");
    EXPECT_EQ(clip.frames.size(), 12u);
    EXPECT_TRUE(image_tensor(clip.frames[10]).equal(image_tensor(folder_ / "media/2.png")))
        << "10 comes after 9";
    EXPECT_TRUE(audio_tensor(clip.audio, {}).equal(audio_tensor(folder_ / "media/0.wav", {})));
    EXPECT_TRUE(fs::exists(shard_index_path(folder_ / tar)));
  }
}

TEST_F(Shards, OfOthersWithTheSameKeysAreToldApart) {
  for (const char* tar : {"x/1.tar", "x/2.tar"}) {
    fs::create_directories(folder_ / "x");
    ASSERT_EQ(run_shell("tar -C '" + (folder_ / "media").string() + "' -cf '" + (folder_ / tar).string() +
                        "' 0.wav 1.wav")
                  .exit_code,
              0);
  }
  const auto ids = [&](const std::string& folder) {
    const ClipList clips = read_clip_sources({folder_ / folder}, *null_log());
    std::vector<std::string> out;
    for (size_t i = 0; i < clips.size(); ++i) out.push_back(std::string(clips.id(i)));
    return out;
  };
  EXPECT_THAT(ids("x"), ElementsAre("1.tar/0.wav", "1.tar/1.wav", "2.tar/0.wav", "2.tar/1.wav"));
  fs::rename(folder_ / "x", folder_ / "y");
  EXPECT_THAT(ids("y"), ElementsAre("1.tar/0.wav", "1.tar/1.wav", "2.tar/0.wav", "2.tar/1.wav"));
}

TEST_F(Shards, AnUnfinishedOrIncompleteFolderIsTold) {
  pack({.shard_bytes = 1});
  fs::remove(folder_ / "shards/shard-000002.tar");
  EXPECT_THAT(message_from<DataError>([&] { packed(); }), HasSubstr("lacks shard-000002.tar"));
}

TEST_F(Shards, AnIndexOfAnotherTarIsMadeAnew) {
  pack({});
  const fs::path tar = folder_ / "shards/shard-000000.tar";
  const std::string index = read_text(shard_index_path(tar));
  fs::last_write_time(tar, fs::last_write_time(tar) + std::chrono::seconds(5));
  EXPECT_FALSE(read_shard_index(tar));
  expect_alike(packed());
  EXPECT_NE(read_text(shard_index_path(tar)), index);
  write_text(shard_index_path(tar), read_text(shard_index_path(tar)).substr(0, 300));
  expect_alike(packed());
}

TEST_F(Shards, WhatCannotBeReadByPlaceIsRefused) {
  pack({});
  const fs::path tar = folder_ / "shards/shard-000000.tar";
  ASSERT_EQ(run_shell("gzip -c '" + tar.string() + "' >'" + (folder_ / "z.tar").string() + "'").exit_code, 0);
  EXPECT_THAT(refusal("z.tar"), AllOf(HasSubstr("compressed"), HasSubstr("gzip -d")));
  ASSERT_EQ(
      run_shell("cd '" + folder_.path().string() +
                "' && truncate -s 1M s.wav && printf end >>s.wav && tar -S --format=pax -cf s.tar s.wav")
          .exit_code,
      0);
  EXPECT_THAT(refusal("s.tar"), AllOf(HasSubstr("s.wav"), HasSubstr("sparse")));
  const std::string bytes = read_text(tar);
  write_text(folder_ / "cut.tar", bytes.substr(0, bytes.size() / 2));
  EXPECT_THAT(refusal("cut.tar"), HasSubstr("cut off"));
  write_text(folder_ / "no.tar", std::string(2000, 'x'));
  EXPECT_THAT(refusal("no.tar"), HasSubstr("no tar"));
  EXPECT_THAT(message_from<DataError>([&] { read_clip_sources({folder_ / "missing.tar"}, *null_log()); }),
              HasSubstr("does not exist"));
}

TEST_F(Shards, ThatAreCalledCompressedAreRefusedForThat) {
  const auto message = [&](const fs::path& data) {
    return message_from<DataError>([&] { read_clip_sources({folder_ / data}, *null_log()); });
  };
  fs::create_directories(folder_ / "packed");
  for (const char* name : {"a.tar.gz", "a.TGZ", "a.tar.xz", "a.tar.zst"}) {
    write_text(folder_ / "packed" / name, "whatever it holds");
    EXPECT_THAT(message(fs::path("packed") / name),
                AllOf(HasSubstr(name), HasSubstr("is compressed"), HasSubstr(" -d)")));
  }
  EXPECT_THAT(message("packed"), AllOf(HasSubstr("a.TGZ"), HasSubstr("is compressed"), HasSubstr("gzip -d")));
  write_text(folder_ / "packed/01.tar.zst", "");
  EXPECT_THAT(message("packed/{01..01}.tar.zst"), AllOf(HasSubstr("01.tar.zst: is"), HasSubstr("zstd -d")));
  EXPECT_THAT(message("packed/missing.tgz"), HasSubstr("does not exist"));
  EXPECT_THAT(
      message_from<DataError>([] { read_clip_sources({"http://127.0.0.1:1/a.tar.gz"}, *null_log()); }),
      AllOf(HasSubstr("http://127.0.0.1:1/a.tar.gz"), HasSubstr("is compressed"), HasSubstr("gzip -d")));
}

TEST_F(Shards, CompressedOnesBesideThemAreLeftOutAndTold) {
  pack({});
  write_text(folder_ / "shards/more.tar.gz", "whatever it holds");
  std::ostringstream lines;
  Log log("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(lines));
  expect_alike(read_clip_sources({folder_ / "shards"}, log));
  EXPECT_THAT(lines.str(), AllOf(HasSubstr("1 compressed"), HasSubstr("gzip -d")));
}

TEST_F(Shards, AMissingFileIsABadClipOfPacking) {
  fs::remove(folder_ / "media/1.wav");
  EXPECT_THAT(message_from<DataError>([&] { pack({}); }), HasSubstr("1 of 2 clips"));
  const PackResult result = pack({.max_bad_ratio = 0.5}, "others");
  ASSERT_EQ(result.failed.size(), 1u);
  EXPECT_EQ(result.failed[0].id, "one");
  EXPECT_EQ(packed("others").size(), 3u);
}

TEST(ShardNames, RangesAndListsAreExpanded) {
  const auto names = [](const std::string& text) {
    std::vector<std::string> out;
    for (const std::string& part : part_names(text))
      for (const std::string& name : expand_range(part)) out.push_back(name);
    return out;
  };
  EXPECT_THAT(names("a.tar"), ElementsAre("a.tar"));
  EXPECT_THAT(names("s/{08..11}.tar::b.tar"),
              ElementsAre("s/08.tar", "s/09.tar", "s/10.tar", "s/11.tar", "b.tar"));
  EXPECT_THAT(names("http://[::1]:80/a/{1..2}.tar::http://u:p@[fe80::1:2]/b.tar::c.tar"),
              ElementsAre("http://[::1]:80/a/1.tar", "http://[::1]:80/a/2.tar",
                          "http://u:p@[fe80::1:2]/b.tar", "c.tar"));
  EXPECT_THAT(names("a[1]::http://h/[x::y.tar"), ElementsAre("a[1]", "http://h/[x", "y.tar"));
  EXPECT_THAT(names("{0..1}/{7..8}.tar"), ElementsAre("0/7.tar", "0/8.tar", "1/7.tar", "1/8.tar"));
  EXPECT_THROW(names("{3..1}.tar"), DataError);
  EXPECT_THROW(names("{a..b}.tar"), DataError);
  EXPECT_THROW(names("{0..1.tar"), DataError);
}

}  // namespace
}  // namespace cavmae
