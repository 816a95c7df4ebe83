#include "cavmae/core/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

using testing::HasSubstr;

enum class Color { red, green };
std::vector<std::pair<Color, std::string>> option_names(Color) {
  return {{Color::red, "red"}, {Color::green, "green"}};
}

struct Inner {
  double learning_rate = 0.5;
  bool fast = false;
  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("learning_rate", o.learning_rate, "step size");
    v("fast", o.fast, "hurry");
  }
};

struct Outer {
  int64_t size = 3;
  Color color = Color::green;
  std::vector<double> ratios{0.5};
  std::optional<double> clip;
  Inner inner;
  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("size", o.size, "how big");
    v("color", o.color, "which");
    v("ratios", o.ratios, "several");
    v("clip", o.clip, "limit");
    v("inner", o.inner, "nested");
  }
};

TEST(Options, JsonRoundTripKeepsEveryField) {
  Outer a;
  a.size = 7, a.color = Color::red, a.ratios = {0.25, 1}, a.clip = 2.5, a.inner.fast = true;
  Outer b;
  option_from_json(option_to_json(a), b, "test");
  EXPECT_EQ(option_to_json(a), option_to_json(b));
  EXPECT_EQ(b.clip, 2.5);
}

TEST(Options, UnknownKeyNamesTheNearest) {
  Outer o;
  const auto message = message_from<ConfigError>(
      [&] { option_from_json(parse_json(R"({"inner": {"learning_rat": 1}})", "x"), o, "a.json"); });
  EXPECT_THAT(message, HasSubstr("a.json: inner"));
  EXPECT_THAT(message, HasSubstr("did you mean 'learning_rate'?"));
}

TEST(Options, WrongTypeIsAnError) {
  Outer o;
  EXPECT_THAT(
      message_from<ConfigError>([&] { option_from_json(parse_json(R"({"size": 1.5})", "x"), o, "a"); }),
      HasSubstr("whole number"));
  EXPECT_THAT(
      message_from<ConfigError>([&] { option_from_json(parse_json(R"({"color": "gren"})", "x"), o, "a"); }),
      HasSubstr("did you mean 'green'?"));
}

TEST(Options, FlagsSetLeaves) {
  Outer o;
  EXPECT_TRUE(set_option(o, "learning_rate", "1e-3"));
  EXPECT_TRUE(set_option(o, "fast", ""));
  EXPECT_TRUE(set_option(o, "ratios", "0.1,0.2"));
  EXPECT_TRUE(set_option(o, "clip", "none"));
  EXPECT_FALSE(set_option(o, "nothing", "1"));
  EXPECT_EQ(o.inner.learning_rate, 1e-3);
  EXPECT_TRUE(o.inner.fast);
  EXPECT_EQ(o.ratios, (std::vector<double>{0.1, 0.2}));
  EXPECT_THAT(message_from<ConfigError>([&] { set_option(o, "size", "12x"); }),
              HasSubstr("--size: expected a whole number, found '12x'"));
  EXPECT_EQ(option_leaves(o).size(), 6u);
}

TEST(Options, ProblemsAreListedTogether) {
  Problems problems;
  problems.require(false, "first is ", 1);
  problems.require(true, "never");
  problems.require(false, "second");
  const auto message = message_from<ConfigError>([&] { problems.throw_if_any("config"); });
  EXPECT_THAT(message, HasSubstr("first is 1"));
  EXPECT_THAT(message, HasSubstr("second"));
}

}  // namespace
}  // namespace cavmae
