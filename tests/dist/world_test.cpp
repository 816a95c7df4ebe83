#include "cavmae/dist/world.h"

#include <atomic>

#include <gmock/gmock.h>

#include "cavmae/core/error.h"

#include "tests/support/temporary_folder.h"
#include "tests/support/thread_world.h"

namespace cavmae {
namespace {

using testing_support::run_ranks;

class Ranks : public ::testing::TestWithParam<int64_t> {};
INSTANTIATE_TEST_SUITE_P(World, Ranks, ::testing::Values(2, 3));

torch::Tensor values_of(int64_t rank) {
  return torch::tensor({{1.0F, 2.0F}, {3.0F, 4.0F}}) + 10.0F * static_cast<float>(rank);
}

struct Flags {
  bool any = false, all = false;

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v(o.any, Agreement::any);
    v(o.all, Agreement::all);
  }
};

TEST(WorldAlone, CopiesNothing) {
  World& world = World::alone();
  EXPECT_EQ(world.rank(), 0);
  EXPECT_EQ(world.size(), 1);
  const auto tensor = values_of(0);
  world.all_reduce(tensor);
  world.broadcast(tensor, 0);
  world.barrier();
  EXPECT_TRUE(tensor.equal(values_of(0)));
  const auto gathered = world.all_gather(tensor);
  ASSERT_EQ(gathered.size(), 1u);
  EXPECT_TRUE(gathered[0].is_same(tensor));
  EXPECT_TRUE(gather_rows(world, tensor).is_same(tensor));
  EXPECT_TRUE(world.agree(Flags{.any = true}).any);
  EXPECT_FALSE(world.agree(Flags{.any = true}).all);
}

TEST_P(Ranks, ReduceToTheirSum) {
  run_ranks(GetParam(), [](World& world) {
    const auto tensor = values_of(world.rank());
    auto sum = torch::zeros({2, 2});
    for (int64_t rank = 0; rank < world.size(); ++rank) sum += values_of(rank);
    world.all_reduce(tensor);
    EXPECT_TRUE(tensor.equal(sum));
  });
}

TEST_P(Ranks, GatherByRankWithTheGradientOfTheirOwnPart) {
  run_ranks(GetParam(), [](World& world) {
    const auto own = values_of(world.rank()).requires_grad_();
    const auto all = world.all_gather(own);
    ASSERT_EQ(static_cast<int64_t>(all.size()), world.size());
    for (int64_t rank = 0; rank < world.size(); ++rank) {
      EXPECT_TRUE(all[static_cast<size_t>(rank)].equal(values_of(rank)));
      EXPECT_EQ(all[static_cast<size_t>(rank)].requires_grad(), rank == world.rank());
    }
    torch::stack(all).square().sum().backward();
    EXPECT_TRUE(own.grad().equal(2 * values_of(world.rank())));
  });
}

TEST_P(Ranks, GatherRowsOfDifferentNumbers) {
  run_ranks(GetParam(), [](World& world) {
    const auto rows_of = [](int64_t rank) { return values_of(rank).repeat({2, 1}).narrow(0, 0, rank); };
    const auto own = rows_of(world.rank()).detach().requires_grad_();  // rank 0 has none
    const auto all = gather_rows(world, own);
    std::vector<torch::Tensor> parts;
    for (int64_t rank = 0; rank < world.size(); ++rank) parts.push_back(rows_of(rank));
    EXPECT_TRUE(all.equal(torch::cat(parts)));
    all.square().sum().backward();
    EXPECT_TRUE(own.grad().equal(2 * rows_of(world.rank())));
  });
}

TEST_P(Ranks, GatherTexts) {
  run_ranks(GetParam(), [](World& world) {
    const auto text_of = [](int64_t rank) { return std::string(static_cast<size_t>(3 * rank), 'x'); };
    const auto all = gather_texts(world, text_of(world.rank()));
    ASSERT_EQ(static_cast<int64_t>(all.size()), world.size());
    for (int64_t rank = 0; rank < world.size(); ++rank)
      EXPECT_EQ(all[static_cast<size_t>(rank)], text_of(rank));
  });
}

TEST_P(Ranks, BroadcastFromAnyRoot) {
  run_ranks(GetParam(), [](World& world) {
    for (int64_t root = 0; root < world.size(); ++root) {
      const auto tensor = values_of(world.rank());
      world.broadcast(tensor, root);
      EXPECT_TRUE(tensor.equal(values_of(root)));
    }
  });
}

TEST_P(Ranks, AgreeOnWhatOneOrAllWant) {
  run_ranks(GetParam(), [](World& world) {
    const bool is_last = world.rank() == world.size() - 1;
    const Flags some = world.agree(Flags{.any = is_last, .all = is_last});
    EXPECT_TRUE(some.any);
    EXPECT_FALSE(some.all);
    const Flags none = world.agree(Flags{});
    EXPECT_FALSE(none.any || none.all);
    const Flags every = world.agree(Flags{.any = true, .all = true});
    EXPECT_TRUE(every.any && every.all);
  });
}

TEST_P(Ranks, WaitForEachOtherAtABarrier) {
  std::atomic<int64_t> arrived = 0;
  run_ranks(GetParam(), [&](World& world) {
    ++arrived;
    world.barrier();
    EXPECT_EQ(arrived, world.size());
  });
}

TEST_P(Ranks, DoNotWaitForOneThatFailed) {
  EXPECT_EQ(message_from<ConfigError>([&] {
              run_ranks(GetParam(), [](World& world) {
                if (world.rank() == 1) throw ConfigError("rank 1 cannot");
                world.barrier();
              });
            }),
            "rank 1 cannot");
}

}  // namespace
}  // namespace cavmae
