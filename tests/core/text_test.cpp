#include "cavmae/core/text.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/json.h"
#include "cavmae/core/number_text.h"

#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Text, EditDistanceCountsSingleLetterEdits) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("lr", "rl"), 1u);
  EXPECT_EQ(edit_distance("abc", "abc"), 0u);
  EXPECT_EQ(edit_distance("abcdef", "badcfe"), 3u);
  EXPECT_EQ(edit_distance("ab", "xbay"), edit_distance("xbay", "ab"));
}

TEST(Text, LongTextsTakeNoMemoryOfTheirSquare) {
  const std::string a(2'000'000, 'a');
  EXPECT_EQ(edit_distance(a, "labels"), a.size() - 1);
  EXPECT_EQ(nearest_word(a, {a + "b", "aaaa"}), "");
  EXPECT_EQ(nearest_word("aaaab", {a, "aaaa"}), "aaaa");
}

TEST(Text, NearestWordIsTheOneThatWasMeant) {
  const std::vector<std::string> words{"learning_rate", "batch_size", "epochs"};
  EXPECT_EQ(nearest_word("learning-rate", words), "learning_rate");
  EXPECT_EQ(nearest_word("learn", words), "learning_rate");
  EXPECT_EQ(nearest_word("bacth_size", words), "batch_size");
  EXPECT_EQ(nearest_word("zzzz", words), "");
  EXPECT_EQ(nearest_word("x", {}), "");
  EXPECT_EQ(suggestion("epoch", words), " (did you mean 'epochs'?)");
  EXPECT_THAT(suggestion("zzzz", words), AllOf(HasSubstr("known: "), HasSubstr("batch_size")));
  EXPECT_EQ(suggestion("zzzz", {}), "");
}

TEST(Text, SplitKeepsEmptyParts) {
  EXPECT_THAT(split("a,b,,c", ','), ElementsAre("a", "b", "", "c"));
  EXPECT_THAT(split("a,", ','), ElementsAre("a", ""));
  EXPECT_THAT(split("", ','), ElementsAre(""));
}

TEST(Text, TrimAndLower) {
  EXPECT_EQ(trim(" \t a b \r\n"), "a b");
  EXPECT_EQ(trim(" \n"), "");
  EXPECT_EQ(lower("MiXeD 9"), "mixed 9");
}

TEST(Text, HumanDuration) {
  EXPECT_EQ(human_duration(0), "0:00");
  EXPECT_EQ(human_duration(123), "2:03");
  EXPECT_EQ(human_duration(3723), "1:02:03");
  EXPECT_EQ(human_duration(std::nan("")), "?");
  EXPECT_EQ(human_duration(-1), "?");
}

TEST(Text, PrintableTextIsShortAndHarmless) {
  EXPECT_EQ(printable("blocks_a.0"), "blocks_a.0");
  EXPECT_EQ(printable("a\x1b[31m\n\xff"), "a?[31m??");
  EXPECT_EQ(printable(std::string(500, 'x')), std::string(100, 'x') + "...");
}

TEST(Text, ANumberIsTheWholeText) {
  EXPECT_EQ(parse_number("1.5"), 1.5);
  EXPECT_EQ(parse_number("+2e3"), 2000.0);
  EXPECT_EQ(parse_number("-0.25"), -0.25);
  for (const char* text : {"", "+", "+-1", "0x10", "1,5", "1 ", " 1", "1e999", "one"})
    EXPECT_FALSE(parse_number(text).has_value()) << text;
}

TEST(Text, StableHashIsFnv1a) {
  EXPECT_EQ(stable_hash(""), 0xcbf29ce484222325ull);
  EXPECT_EQ(stable_hash("a"), 0xaf63dc4c8601ec8cull);
  EXPECT_EQ(stable_hash("foobar"), 0x85944171f73967e8ull);
  EXPECT_NE(stable_hash("a", 1), stable_hash("a", 2));
}

TEST(JsonFile, CommentsAreAllowedAndErrorsNameThePlace) {
  TemporaryFolder folder;
  write_file(folder / "a.json", "{\"x\": 1, // why\n /* and */ \"y\": [2]}");
  EXPECT_EQ(read_json(folder / "a.json")["y"][0], 2);
  write_file(folder / "b.json", "{\n\"x\": ,}");
  EXPECT_THAT(message_from<ConfigError>([&] { read_json(folder / "b.json"); }),
              AllOf(HasSubstr("b.json"), HasSubstr("line 2"), Not(HasSubstr("json.exception"))));
  EXPECT_THAT(message_from<ConfigError>([] { parse_json("", "clips.jsonl:12"); }),
              HasSubstr("clips.jsonl:12"));
}

TEST(JsonFile, OrderIsKeptAndInvalidTextIsReplaced) {
  TemporaryFolder folder;
  Json json;
  json["z"] = 1, json["a"] = std::string("\xff");
  write_json(folder / "a.json", json);
  const std::string text = read_text(folder / "a.json");
  EXPECT_LT(text.find("\"z\""), text.find("\"a\""));
  EXPECT_EQ(read_json(folder / "a.json")["z"], 1);
}

}  // namespace
}  // namespace cavmae
