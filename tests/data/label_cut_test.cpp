#include "cavmae/data/label_cut.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/data/labels.h"

#include "tests/support/program.h"

namespace cavmae {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const LabelSet& classes() {
  static const LabelSet set(
      {{"/m/1", "donkey, ass braying"}, {"/m/2", "Speech"}, {"/m/3", "bee, wasp, etc."}}, "x.csv");
  return set;
}

std::vector<std::string> cut(const std::string& separator, const std::string& text,
                             const LabelSet* set = nullptr) {
  return LabelCut(separator, set).cut(text).labels;
}

TEST(LabelCut, WithoutClassesACommaBeforeASpaceBelongsToTheLabel) {
  EXPECT_THAT(cut("auto", "/m/1,/m/2;/m/3"), ElementsAre("/m/1", "/m/2", "/m/3"));
  EXPECT_THAT(cut("auto", " donkey, ass braying "), ElementsAre("donkey, ass braying"));
  EXPECT_THAT(cut("auto", "bird,,forest,"), ElementsAre("bird", "forest"));
  EXPECT_THAT(cut("auto", "a, b;c"), ElementsAre("a, b", "c"));
  EXPECT_THAT(cut("auto", ""), ElementsAre());
  const LabelCut guess("auto", nullptr);
  EXPECT_TRUE(guess.is_guess());
  EXPECT_EQ(guess.cut("a,b").outcome, LabelCut::Outcome::parted);
  EXPECT_EQ(guess.cut("a, b").outcome, LabelCut::Outcome::one_with_comma);
  EXPECT_EQ(guess.cut("a b").outcome, LabelCut::Outcome::one);
}

TEST(LabelCut, ATextThatIsAClassIsOneLabelWhateverTheSeparator) {
  for (const char* separator : {"auto", "none", "comma", "; "})
    EXPECT_THAT(cut(separator, "bee, wasp, etc.", &classes()), ElementsAre("bee, wasp, etc.")) << separator;
  EXPECT_FALSE(LabelCut("auto", &classes()).is_guess());
}

TEST(LabelCut, ClassesWithCommasAreFoundAmongOthers) {
  EXPECT_THAT(cut("auto", "Speech, bee, wasp, etc.,donkey, ass braying", &classes()),
              ElementsAre("Speech", "bee, wasp, etc.", "donkey, ass braying"));
  EXPECT_THAT(cut("auto", "donkey, dog;/m/1", &classes()), ElementsAre("donkey", "dog", "/m/1"));
}

TEST(LabelCut, ASeparatorMayBeChosen) {
  EXPECT_THAT(cut("comma", "donkey, ass braying"), ElementsAre("donkey", "ass braying"));
  EXPECT_THAT(cut("none", "a,b;c"), ElementsAre("a,b;c"));
  EXPECT_THAT(cut("|", "a, b | c"), ElementsAre("a, b", "c"));
  EXPECT_THAT(cut("space", "a b  c"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(cut("tab", "a b\tc"), ElementsAre("a b", "c"));
  EXPECT_THAT(cut(" / ", "a/b / c"), ElementsAre("a/b", "c"));
  EXPECT_THAT(message_from<ConfigError>([] { LabelCut("", nullptr); }),
              HasSubstr("--label-separator is empty"));
}

}  // namespace
}  // namespace cavmae
