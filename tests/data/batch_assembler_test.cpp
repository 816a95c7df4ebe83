#include "cavmae/data/batch_assembler.h"

#include <algorithm>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/random.h"
#include "cavmae/data/epoch_order.h"

#include "tests/data/toy_media.h"

namespace cavmae {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr int64_t kClipsInOrder = 11;

ReadResult good() {
  ReadResult result;
  result.sample.audio = torch::zeros({1});
  return result;
}

ReadResult bad(const std::string& reason) {
  ReadResult result;
  result.bad_reason = reason;
  return result;
}

class BatchAssemblerTest : public testing::Test {
 protected:
  BatchAssemblerTest() {
    for (int64_t i = 0; i < kClipsInOrder; ++i) {
      clips.emplace_back().id = "clip" + std::to_string(i);
      order.push_back(kClipsInOrder - 1 - i);
    }
    account = BadClips(0.5, kClipsInOrder, log);
  }
  BatchAssembler assembler(int64_t batch_size, const EpochOptions& epoch) {
    own = BatchParts(kClipsInOrder, batch_size, epoch).own(order);
    return BatchAssembler({.order = own, .clips = clips, .bad = account}, batch_size, epoch);
  }
  // Batches' indices, in order of coming out, when clips are read in the order of `positions` of `own`.
  std::vector<std::vector<int64_t>> batches(BatchAssembler& assembler, const std::vector<int64_t>& positions,
                                            const std::vector<int64_t>& bad_positions) {
    std::vector<std::vector<int64_t>> out;
    for (const int64_t position : positions) {
      if (position >= static_cast<int64_t>(own.size())) continue;
      const bool is_bad = std::ranges::count(bad_positions, position) > 0;
      assembler.add(position, is_bad ? bad("broken") : good());
      while (const auto output = assembler.take()) {
        if (const auto* error = std::get_if<std::exception_ptr>(&*output)) std::rethrow_exception(*error);
        if (const auto* list = std::get_if<SampleList>(&*output)) out.push_back(list->indices);
      }
    }
    while (const auto output = assembler.take())
      if (const auto* error = std::get_if<std::exception_ptr>(&*output)) std::rethrow_exception(*error);
    return out;
  }
  std::vector<int64_t> positions_from(int64_t first) {
    std::vector<int64_t> all(kClipsInOrder - first);
    std::iota(all.begin(), all.end(), first);
    return all;
  }

  std::vector<ClipSource> clips;
  std::vector<int64_t> order, own;
  CapturedLog captured;
  std::shared_ptr<BadClipLog> log = std::make_shared<BadClipLog>(captured.log);
  BadClips account{0.5, kClipsInOrder, log};
};

TEST_F(BatchAssemblerTest, OrderOfReadingChangesNothing) {
  auto in_order = assembler(3, {.drop_last = false});
  const auto expected = batches(in_order, positions_from(0), {1, 4});
  EXPECT_EQ(expected, (std::vector<std::vector<int64_t>>{{10, 8}, {7, 5}, {4, 3, 2}, {1, 0}}));
  for (uint64_t seed = 0; seed < 50; ++seed) {
    auto positions = positions_from(0);
    std::shuffle(positions.begin(), positions.end(), Random(seed));
    account = BadClips(0.5, kClipsInOrder, log);
    auto mixed = assembler(3, {.drop_last = false});
    EXPECT_EQ(batches(mixed, positions, {1, 4}), expected);
    EXPECT_TRUE(mixed.ended());
  }
  EXPECT_EQ(log->all().size(), 2u) << "a clip is told once, however often it is met";
}

TEST_F(BatchAssemblerTest, LastBatchIsLeftOutOrNot) {
  auto kept = assembler(4, {.drop_last = false});
  EXPECT_EQ(batches(kept, positions_from(0), {}).back(), (std::vector<int64_t>{2, 1, 0}));
  auto dropped = assembler(4, {.drop_last = true});
  EXPECT_EQ(batches(dropped, positions_from(0), {}).size(), 2u);
}

TEST_F(BatchAssemblerTest, ABadClipMovesNoOther) {
  auto whole = assembler(2, {.drop_last = false});
  for (const int64_t p : {0, 1, 2, 3}) whole.add(p, p == 0 || p == 2 ? bad("x") : good());
  const auto first = std::get<SampleList>(whole.take().value());
  EXPECT_EQ(first.next_position, 2);
  EXPECT_EQ(first.size, 2);
  EXPECT_THAT(first.rows, ElementsAre(1));
  EXPECT_THAT(first.indices, ElementsAre(9));
  const auto second = std::get<SampleList>(whole.take().value());
  EXPECT_EQ(second.number, 1);
  EXPECT_THAT(second.indices, ElementsAre(7));
  auto rest = assembler(2, {.drop_last = false, .start_position = first.next_position});
  EXPECT_THAT(batches(rest, positions_from(0), {0}).front(), ElementsAre(7));
}

TEST_F(BatchAssemblerTest, ABatchWithoutAnyClipIsEmptyAndKeepsItsPlace) {
  auto a = assembler(3, {.drop_last = true});
  EXPECT_THAT(batches(a, positions_from(0), {3, 4, 5}),
              ElementsAre(ElementsAre(10, 9, 8), ElementsAre(), ElementsAre(4, 3, 2)));
}

TEST_F(BatchAssemblerTest, RanksPartsMakeTheWholeBatches) {
  for (const bool drop_last : {true, false})
    for (const int64_t ranks : {1, 2, 3, 4}) {
      std::vector<std::vector<int64_t>> joined;
      for (int64_t rank = 0; rank < ranks; ++rank) {
        auto a = assembler(
            5, {.drop_last = drop_last, .start_position = 1, .part = {.rank = rank, .ranks = ranks}});
        const auto parts = batches(a, positions_from(0), {});
        joined.resize(parts.size());
        for (size_t i = 0; i < parts.size(); ++i) {
          EXPECT_LE(std::abs(static_cast<double>(parts[i].size()) - 5.0 / static_cast<double>(ranks)), 1.0);
          joined[i].insert(joined[i].end(), parts[i].begin(), parts[i].end());
        }
      }
      EXPECT_EQ(joined, (std::vector<std::vector<int64_t>>{{9, 8, 7, 6, 5}, {4, 3, 2, 1, 0}}));
    }
}

TEST_F(BatchAssemblerTest, ErrorComesOutInItsPlace) {
  auto a = assembler(2, {});
  ReadResult broken;
  broken.error = std::make_exception_ptr(Error("the cache is gone"));
  a.add(2, std::move(broken));
  EXPECT_FALSE(a.take().has_value());
  a.add(0, good());
  a.add(1, good());
  EXPECT_TRUE(std::holds_alternative<SampleList>(a.take().value()));
  EXPECT_TRUE(std::holds_alternative<std::exception_ptr>(a.take().value()));
  EXPECT_TRUE(a.ended());
  EXPECT_FALSE(a.take().has_value());
}

TEST_F(BatchAssemblerTest, FewerClipsThanABatchIsAnError) {
  auto a = assembler(12, {.drop_last = true});
  EXPECT_THAT(message_from<DataError>([&] { batches(a, positions_from(0), {}); }),
              HasSubstr("the data hold 11 clips, fewer than one batch of 12"));
  auto resumed = assembler(12, {.drop_last = true, .start_position = 9});
  EXPECT_TRUE(batches(resumed, positions_from(0), {}).empty()) << "the end of an epoch that had batches";
}

std::shared_ptr<BadClipLog> no_log() {
  return std::make_shared<BadClipLog>(null_log());
}

TEST(BadClips, ShareIsThatOfTheWholeEpoch) {
  BadClips account(0.1, 100, no_log());
  for (int i = 0; i < 10; ++i) account.count_bad({.id = "c" + std::to_string(i), .reason = "broken"});
  EXPECT_NO_THROW(account.check_share(false));
  account.count_bad({.id = "c10", .reason = "broken"});
  const auto message = message_from<DataError>([&] { account.check_share(false); });
  EXPECT_THAT(message, HasSubstr("11 of the first 11 clips (100 in all)"));
  EXPECT_THAT(message, HasSubstr("c4: broken"));
  EXPECT_THAT(message, Not(HasSubstr("c5: broken")));
  EXPECT_THAT(message, HasSubstr("and 6 more"));
  EXPECT_THAT(message, HasSubstr("--max-bad-ratio"));
}

TEST(BadClips, SmallSetIsReadToTheEndBeforeItStops) {
  BadClips account(0.1, 6, no_log());
  account.count_bad({.id = "a", .reason = "broken"});
  EXPECT_NO_THROW(account.check_share(false));
  EXPECT_THROW(account.check_share(true), DataError);
}

TEST(BadClips, HopelessDataStopsEarly) {
  BadClips account(0.1, 1'000'000, no_log());
  for (int i = 0; i < 19; ++i) account.count_bad({.id = "c" + std::to_string(i), .reason = "broken"});
  EXPECT_NO_THROW(account.check_share(false));
  account.count_bad({.id = "c19", .reason = "broken"});
  EXPECT_THROW(account.check_share(false), DataError);
}

TEST(BadClips, NoneAllowedStopsAtTheFirst) {
  BadClips account(0.0, 1000, no_log());
  account.count_bad({.id = "a", .reason = "broken"});
  EXPECT_THROW(account.check_share(false), DataError);
}

TEST(EpochOrder, IsAPermutationOfSeedAndEpochAlone) {
  const auto first = epoch_order(100, {.epoch = 0, .seed = 7});
  EXPECT_EQ(first, epoch_order(100, {.epoch = 0, .seed = 7, .start_position = 5}));
  EXPECT_NE(first, epoch_order(100, {.epoch = 1, .seed = 7}));
  EXPECT_NE(first, epoch_order(100, {.epoch = 0, .seed = 8}));
  auto sorted = first;
  std::ranges::sort(sorted);
  EXPECT_EQ(sorted, epoch_order(100, {.shuffle = false}));
}

}  // namespace
}  // namespace cavmae
