#include "cavmae/data/feature_cache.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"

#include "tests/data/toy_media.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const CacheKey kKey{.name = "fbank\n/a/b.mp4\n0 10", .stamp = "12:34.5;"};

std::string read_bytes(const fs::path& path) {
  return testing_support::read_whole(path);
}

TEST(FeatureCache, RecordsComeBackBitForBit) {
  TemporaryFolder folder;
  const FeatureCache cache(folder / "cache", null_log());
  for (const auto type : {torch::kFloat32, torch::kFloat64, torch::kUInt8}) {
    const auto records = torch::randn({10, 7, 5, 3}).mul(50).to(type);
    cache.store(kKey, records);
    const auto entry = cache.open(kKey);
    ASSERT_TRUE(entry.has_value());
    EXPECT_EQ(entry->num_records(), 10);
    for (int64_t r = 0; r < 10; ++r) EXPECT_TRUE(same_bits(entry->read(r).value(), records[r]));
    EXPECT_THROW(entry->read(10), Error);
  }
}

TEST(FeatureCache, HoldsStridedAndLargeHeaderedEntries) {
  TemporaryFolder folder;
  const FeatureCache cache(folder.path(), null_log());
  const CacheKey key{.name = std::string(9000, 'n'), .stamp = std::string(3000, 's')};
  const auto records = torch::randn({3, 4, 600}).transpose(1, 2);
  cache.store(key, records);
  EXPECT_TRUE(same_bits(cache.open(key)->read(2).value(), records[2].contiguous()));
}

TEST(FeatureCache, AnotherStampMakesTheEntryStale) {
  TemporaryFolder folder;
  const FeatureCache cache(folder.path(), null_log());
  cache.store(kKey, torch::zeros({1, 4}));
  const CacheKey changed{.name = kKey.name, .stamp = "12:34.6;"};
  EXPECT_FALSE(cache.open(changed).has_value());
  cache.store(changed, torch::ones({1, 4}));
  EXPECT_TRUE(cache.open(changed).has_value());
  EXPECT_FALSE(cache.open(kKey).has_value()) << "one entry a name";
}

TEST(FeatureCache, EntriesOfAnotherVersionAreAbsentAndCountedInOneLine) {
  TemporaryFolder folder;
  const CacheKey other{.name = "pictures\n/a/b.mp4", .stamp = kKey.stamp};
  {
    const FeatureCache old(folder.path(), null_log(), kCacheVersion - 1);
    old.store(kKey, torch::zeros({1, 4}));
    old.store(other, torch::zeros({1, 4}));
    EXPECT_TRUE(old.open(kKey).has_value());
  }
  CapturedLog captured;
  const FeatureCache cache(folder.path(), captured.log);
  EXPECT_FALSE(cache.open({.name = "none", .stamp = ""}).has_value());
  EXPECT_EQ(captured.text->str(), "");
  EXPECT_FALSE(cache.open(kKey).has_value());
  EXPECT_FALSE(cache.open(other).has_value());
  const std::string text = captured.text->str();
  EXPECT_THAT(text, HasSubstr("2 entries are of another version"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  cache.store(kKey, torch::ones({1, 4}));
  EXPECT_TRUE(same_bits(cache.open(kKey)->read(0).value(), torch::ones({4})));
}

TEST(FeatureCache, StampSeesSizeTimeAndAbsence) {
  TemporaryFolder folder;
  const fs::path file = folder / "f";
  const auto absent = source_stamp({file});
  write_text(file, "abc");
  const auto first = source_stamp({file});
  fs::last_write_time(file, fs::last_write_time(file) + std::chrono::nanoseconds(1000));
  const auto touched = source_stamp({file});
  EXPECT_NE(absent, first);
  EXPECT_NE(first, touched);
}

TEST(FeatureCache, DamageAnywhereIsNoticed) {
  TemporaryFolder folder;
  const FeatureCache cache(folder.path(), null_log());
  const auto records = torch::arange(64, torch::kFloat32).view({2, 32});
  cache.store(kKey, records);
  const fs::path path = cache.path_of(kKey);
  const std::string whole = read_bytes(path);
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    write_text(path, damaged);
    const auto entry = cache.open(kKey);
    const bool usable = entry && entry->read(0) && entry->read(1);
    ASSERT_FALSE(usable) << "byte " << i;
  }
  for (const size_t length : {size_t{0}, size_t{8}, size_t{100}, whole.size() / 2, whole.size() - 1}) {
    write_text(path, whole.substr(0, length));
    EXPECT_FALSE(cache.open(kKey).has_value()) << length;
  }
  write_text(path, whole + "x");
  EXPECT_FALSE(cache.open(kKey).has_value());
  write_text(path, whole);
  EXPECT_TRUE(cache.open(kKey).has_value());
}

TEST(FeatureCache, ManyThreadsMayStoreAndReadOneName) {
  TemporaryFolder folder;
  const FeatureCache cache(folder.path(), null_log());
  const auto records = torch::randn({4, 1000});
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        cache.store(kKey, records);
        const auto entry = cache.open(kKey);
        if (!entry || !same_bits(entry->read(3).value_or(torch::Tensor()), records[3])) ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder.path())) files += entry.is_regular_file();
  EXPECT_EQ(files, 1) << "temporary files are left behind";
}

TEST(FeatureCache, FolderThatCannotBeMadeIsAnErrorThatSaysSo) {
  TemporaryFolder folder;
  write_text(folder / "file", "");
  EXPECT_THAT(message_from<Error>([&] { FeatureCache(folder / "file/cache", null_log()); }),
              HasSubstr("choose another folder"));
}

TEST(FeatureCache, DiskThatTakesNoMoreIsToldOnceAndEndsTheStoring) {
  TemporaryFolder folder;
  CapturedLog captured;
  const FeatureCache cache(folder / "cache", captured.log);
  write_text(cache.path_of(kKey).parent_path(), "in the way");
  cache.store(kKey, torch::zeros({1, 4}));
  cache.store(kKey, torch::zeros({1, 4}));
  EXPECT_FALSE(cache.open(kKey).has_value());
  const std::string text = captured.text->str();
  EXPECT_THAT(text, HasSubstr("going on without storing more"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

}  // namespace
}  // namespace cavmae
