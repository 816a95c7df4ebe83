// Times of scopes, forward and backward.
#include "cavmae/nn/range_timer.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/torch.h"
#include "cavmae/nn/profile_range.h"

namespace cavmae {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Field;

constexpr double kNap = 0.02;  // seconds

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void nap() {
  std::this_thread::sleep_for(std::chrono::duration<double>(kNap));
}

// Takes a nap in the forward pass, and another in the backward pass, there in a scope of its own if asked to.
class Napping : public torch::autograd::Function<Napping> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               bool inner_scope) {
    context->saved_data["inner_scope"] = inner_scope;
    nap();
    return x * 2;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    if (context->saved_data["inner_scope"].toBool()) {
      const ProfileRange range("inner");
      nap();
    } else {
      nap();
    }
    return {gradients[0] * 2, {}};
  }
};

torch::Tensor napping(const char* name, const torch::Tensor& x, bool inner_scope = false) {
  const ProfileRange range(name);
  return Napping::apply(x, inner_scope);
}

RangeTime time_of(const std::vector<RangeTime>& times, const std::string& path) {
  const auto found = std::ranges::find(times, path, &RangeTime::path);
  return found == times.end() ? RangeTime{.path = "no such path"} : *found;
}

TEST(RangeTimer, ScopesNestAndKeepTheirOrder) {
  RangeTimer timer;
  {
    const ProfileRange range("outer");
    nap();
    {
      const ProfileRange inner("inner");
      nap();
    }
  }
  const Clock::time_point before = Clock::now();
  { const ProfileRange range("later"); }
  const double took = seconds_since(before);
  const auto times = timer.times();
  EXPECT_THAT(times, ElementsAre(Field(&RangeTime::path, ""), Field(&RangeTime::path, "outer"),
                                 Field(&RangeTime::path, "outer/inner"), Field(&RangeTime::path, "later")));
  EXPECT_GE(time_of(times, "outer").forward_seconds, kNap);
  EXPECT_GE(time_of(times, "outer/inner").forward_seconds, kNap);
  EXPECT_LE(time_of(times, "later").forward_seconds, took);
}

TEST(RangeTimer, BackwardGoesToTheScopesOfForward) {
  const auto x = torch::ones({3}, torch::requires_grad());
  RangeTimer timer;
  const auto loss = napping("second", napping("first", x)).sum();
  const Clock::time_point before = Clock::now();
  loss.backward();
  const auto times = timer.times();
  const double took = seconds_since(before);
  for (const char* name : {"first", "second"}) {
    EXPECT_GE(time_of(times, name).forward_seconds, kNap) << name;
    EXPECT_GE(time_of(times, name).backward_seconds, kNap) << name;
  }
  EXPECT_LE(time_of(times, "first").backward_seconds + time_of(times, "second").backward_seconds, took);
}

TEST(RangeTimer, ScopeInsideANodeLiesInsideWhatTheNodeWorksOn) {
  const auto x = torch::ones({3}, torch::requires_grad());
  RangeTimer timer;
  napping("block", x, /*inner_scope=*/true).sum().backward();
  EXPECT_GE(time_of(timer.times(), "block/inner").backward_seconds, kNap);
}

TEST(RangeTimer, TimesSumToWhatWentBy) {
  const auto x = torch::ones({3}, torch::requires_grad());
  const auto now = [] { return std::chrono::steady_clock::now(); };
  const auto before = now();
  RangeTimer timer;
  const auto start = now();
  {
    const ProfileRange range("step");  // its end also ends what the last node works on
    napping("first", x).sum().backward();
  }
  nap();
  const auto end = now();
  const auto times = timer.times();
  const auto after = now();
  double sum = 0;
  for (const RangeTime& time : times) sum += time.forward_seconds + time.backward_seconds;
  EXPECT_GE(sum, std::chrono::duration<double>(end - start).count());
  EXPECT_LE(sum, std::chrono::duration<double>(after - before).count());
  EXPECT_GE(time_of(times, "").forward_seconds, kNap);
}

TEST(RangeTimer, RestartForgets) {
  RangeTimer timer;
  { const ProfileRange range("before"); }
  timer.restart();
  { const ProfileRange inner("after"); }
  EXPECT_THAT(timer.times(), ElementsAre(Field(&RangeTime::path, ""), Field(&RangeTime::path, "after")));
}

TEST(RangeTimer, OtherThreadsAndNobodyListeningChangeNothing) {
  { const ProfileRange range("unheard"); }
  RangeTimer timer;
  std::thread([] { const ProfileRange inner("elsewhere"); }).join();
  EXPECT_THAT(timer.times(), ElementsAre(Field(&RangeTime::path, "")));
  EXPECT_THROW(RangeTimer(), Error);
}

}  // namespace
}  // namespace cavmae
