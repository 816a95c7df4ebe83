#include "cavmae/data/labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"

#include "tests/data/toy_media.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kCsv =
    "index,mid,display_name\n"
    "0,/m/09x0r,\"Speech\"\n"
    "2,/m/0ytgt,\"Child speech, kid speaking\"\n"
    "1,/m/05zppz,\"Male speech, man speaking\"\n";

std::vector<ClipSource> clips_with(const std::vector<std::vector<std::string>>& labels) {
  std::vector<ClipSource> clips(labels.size());
  for (size_t i = 0; i < labels.size(); ++i) {
    clips[i].id = "clip" + std::to_string(i);
    clips[i].labels = labels[i];
  }
  return clips;
}

class LabelsTest : public testing::Test {
 protected:
  LabelSet read(const std::string& text) {
    write_text(folder / "labels.csv", text);
    return read_label_csv(folder / "labels.csv");
  }
  std::string error_of(const std::string& text) {
    return message_from<DataError>([&] { read(text); });
  }
  static std::string error_of(const std::vector<std::vector<std::string>>& labels, const LabelSet& set,
                              const LabelRules& rules = {}) {
    return message_from<DataError>([&] { classes_of_clips(clips_with(labels), set, rules); });
  }
  TemporaryFolder folder;
};

TEST_F(LabelsTest, CsvIsReadByIndexMidAndDisplayName) {
  const LabelSet set = read(kCsv);
  ASSERT_EQ(set.size(), 3);
  EXPECT_EQ(set[2].mid, "/m/0ytgt");
  EXPECT_EQ(set.find("/m/05zppz"), 1);
  EXPECT_EQ(set.find("Child speech, kid speaking"), 2);
  EXPECT_FALSE(set.find("speech").has_value());
  EXPECT_THAT(set.display_names(),
              ElementsAre("Speech", "Male speech, man speaking", "Child speech, kid speaking"));
  // Columns in another order, others besides, a byte order mark and Windows lines.
  const LabelSet other = read(std::string("\xef\xbb\xbf") +
                              "display_name,more,mid,index\r\n"
                              "Speech,x,/m/09x0r,0\r\n");
  EXPECT_EQ(other.find("Speech"), 0);
}

TEST_F(LabelsTest, WhatIsWrittenIsReadAgain) {
  const LabelSet set({{"a", "plain"}, {"b,c", "with \"quotes\", and a comma"}, {"d", " blank "}}, "here");
  write_label_csv(folder / "out.csv", set);
  const LabelSet again = read_label_csv(folder / "out.csv");
  const LabelSet from_json{class_labels_from_json(class_labels_to_json(set.labels()), "a checkpoint"),
                           "a checkpoint"};
  for (int64_t i = 0; i < set.size(); ++i) {
    EXPECT_EQ(again[i].mid, set[i].mid);
    EXPECT_EQ(again[i].display_name, set[i].display_name);
    EXPECT_EQ(from_json[i].mid, set[i].mid);
    EXPECT_EQ(from_json[i].display_name, set[i].display_name);
  }
  EXPECT_THAT(message_from<DataError>(
                  [] { class_labels_from_json(Json::parse(R"([{"mid": 3}])"), "c.safetensors"); }),
              HasSubstr("c.safetensors"));
}

TEST_F(LabelsTest, ClashesAndGapsNameTheLines) {
  const std::string header = "index,mid,display_name\n";
  EXPECT_THAT(error_of(header + "0,a,A\n0,b,B\n"),
              HasSubstr("labels.csv:3: index 0 was given before, in line 2"));
  EXPECT_THAT(error_of(header + "0,a,A\n1,a,B\n"),
              HasSubstr("labels.csv:3: mid 'a' was given before, in line 2"));
  EXPECT_THAT(error_of(header + "0,a,A\n2,b,B\n"), HasSubstr("labels.csv:3: index 2 follows"));
  EXPECT_THAT(error_of(header + "x,a,A\n"), HasSubstr("labels.csv:2: 'index' must be a whole number"));
  EXPECT_THAT(error_of(header + "0,,A\n"), HasSubstr("class 0 has no mid"));
  EXPECT_THAT(error_of(header + "0,a,A, B\n"), HasSubstr("double quotes"));
  EXPECT_THAT(error_of("index,mid,mid,display_name\n0,a,b,A\n"), HasSubstr("two columns are called 'mid'"));
  EXPECT_THAT(error_of("index,name\n0,a\n"), HasSubstr("no column 'mid'"));
  EXPECT_THAT(error_of(header), HasSubstr("lists no classes"));
  EXPECT_THAT(error_of(""), HasSubstr("is empty"));
}

TEST_F(LabelsTest, TextThatIsNoUtf8IsRefusedWithItsLine) {
  EXPECT_THAT(error_of("index,mid,display_name\n0,a,A\n1,b,caf\xe9\n"),
              AllOf(HasSubstr("labels.csv:3: 'caf\\xE9' is no UTF-8 text"), HasSubstr("iconv")));
  EXPECT_THAT(message_from<DataError>([] { LabelSet({{"a", "\xff"}}, "here"); }), HasSubstr("here: class 0"));
}

TEST_F(LabelsTest, TabsAndWhatSpreadsheetsAddAreRead) {
  EXPECT_EQ(read("index\tmid\tdisplay_name\n0\ta\tOne, two\n\t\t\n").find("One, two"), 0);
  EXPECT_EQ(read("index,mid,display_name,\n0,a,A,\n,,,\n").size(), 1);
  EXPECT_THAT(error_of("index;mid;display_name\n0;a;A\n"), HasSubstr("parted by semicolons"));
}

TEST_F(LabelsTest, DisplayNameOfTwoClassesFindsNeither) {
  const LabelSet set = read("index,mid,display_name\n0,a,Bass\n1,b,Bass\n");
  EXPECT_FALSE(set.find("Bass").has_value());
  EXPECT_EQ(set.find("b"), 1);
}

TEST_F(LabelsTest, SetOfTheClipsOwnLabelsIsSorted) {
  const LabelSet set = labels_of_clips(clips_with({{"ring", "star"}, {"cross"}, {"star"}}));
  EXPECT_THAT(set.display_names(), ElementsAre("cross", "ring", "star"));
  EXPECT_THAT(message_from<DataError>([] {
                labels_of_clips(clips_with({{}, {}}));
              }),
              HasSubstr("none of the 2 clips"));
}

TEST_F(LabelsTest, ClipsGetTheirClassesAndTargets) {
  const LabelSet set({{"a", "A"}, {"b", "B"}, {"c", "C"}}, "x.csv");
  const auto classes = classes_of_clips(clips_with({{"c", "A", "a"}, {"b"}}), set, {});
  EXPECT_THAT(classes, ElementsAre(ElementsAre(0, 2), ElementsAre(1)));
  EXPECT_TRUE(same_bits(multi_hot(classes, 3), torch::tensor({{1.0f, 0.0f, 1.0f}, {0.0f, 1.0f, 0.0f}})));
}

TEST_F(LabelsTest, UnknownLabelsAreAllNamedWithTheNearest) {
  const LabelSet set({{"/m/1", "Violin"}, {"/m/2", "Rain"}}, "x.csv");
  EXPECT_THAT(error_of({{"Violine"}, {"Rain", "thunder"}}, set),
              AllOf(HasSubstr("2 labels of the clips are none of the 2 classes of x.csv"),
                    HasSubstr("'Violine' of clip 'clip0' (did you mean 'Violin'?)"),
                    HasSubstr("'thunder' of clip 'clip1'"), HasSubstr("--labels")));
}

TEST_F(LabelsTest, BrokenRulesSayHowToMendThem) {
  const LabelSet set({{"a", "A"}, {"b", "B"}}, "x.csv");
  EXPECT_THAT(error_of({{"a"}}, set), AllOf(HasSubstr("1 of the 2 classes of x.csv have no clip: 'B'"),
                                            HasSubstr("--allow-empty-classes")));
  EXPECT_EQ(classes_of_clips(clips_with({{"a"}}), set, {.empty_classes = EmptyClasses::allowed}).size(), 1u);
  EXPECT_THAT(error_of({{"a"}, {}}, set), HasSubstr("clip 'clip1' has no label"));
  EXPECT_THAT(error_of({{"a"}, {"b", "a"}}, set, {.labels_per_clip = LabelsPerClip::one}),
              AllOf(HasSubstr("clip 'clip1' has 2 labels"), HasSubstr("--loss bce")));
  EXPECT_THAT(message_from<DataError>([&] { check_head_size(set, 527, "model.pth"); }),
              AllOf(HasSubstr("x.csv has 2 classes"), HasSubstr("model.pth has 527")));
  EXPECT_NO_THROW(check_head_size(set, 2, "model.pth"));
}

}  // namespace
}  // namespace cavmae
