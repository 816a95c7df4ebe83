#include "cavmae/data/enhancement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"

#include "tests/data/toy_media.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// thing > animal > {dog > puppy, cat}; thing and animal are above, but "thing" is no class.
constexpr const char* kOntology = R"([
  {"id": "/m/thing", "name": "Thing", "child_ids": ["/m/animal"]},
  {"id": "/m/animal", "name": "Animal", "child_ids": ["/m/dog", "/m/cat"]},
  {"id": "/m/dog", "name": "Dog", "child_ids": ["/m/puppy"]},
  {"id": "/m/cat", "name": "Cat", "child_ids": []},
  {"id": "/m/puppy", "name": "Puppy"}])";

class EnhancementTest : public testing::Test {
 protected:
  std::filesystem::path file(const std::string& name, const std::string& text) {
    write_text(folder / name, text);
    return folder / name;
  }
  std::string taxonomy_error(const std::string& text) {
    return message_from<DataError>([&] { Taxonomy::read(file("o.json", text)); });
  }
  std::string score_error(const std::string& name, const std::string& text) {
    return message_from<DataError>([&] { read_teacher_scores(file(name, text), set); });
  }

  TemporaryFolder folder;
  const LabelSet set{{{"/m/animal", "Animal"}, {"/m/dog", "Dog"}, {"/m/cat", "Cat"}, {"/m/puppy", "Puppy"}},
                     "labels.csv"};
  std::vector<ClipSource> clips = [] {
    std::vector<ClipSource> made(4);
    for (size_t i = 0; i < made.size(); ++i) made[i].id = "clip" + std::to_string(i);
    return made;
  }();
};

TEST_F(EnhancementTest, TaxonomyKnowsWhatStandsAboveHoweverFar) {
  const Taxonomy taxonomy = Taxonomy::read(file("o.json", kOntology));
  EXPECT_EQ(taxonomy.size(), 5);
  EXPECT_THAT(taxonomy.above("/m/puppy"), ElementsAre("/m/animal", "/m/dog", "/m/thing"));
  EXPECT_THAT(taxonomy.above("/m/thing"), IsEmpty());
  EXPECT_THAT(taxonomy.above("/m/unknown"), IsEmpty());
  EXPECT_TRUE(taxonomy.joins_any_of(set));
  EXPECT_FALSE(taxonomy.joins_any_of(LabelSet({{"dog", "Dog"}, {"animal", "Animal"}}, "labels.csv")));
}

TEST_F(EnhancementTest, TaxonomyThatRunsInACircleEnds) {
  const Taxonomy taxonomy = Taxonomy::read(
      file("o.json", R"([{"id": "a", "child_ids": ["b"]}, {"id": "b", "child_ids": ["a", "b"]}])"));
  EXPECT_THAT(taxonomy.above("a"), ElementsAre("b"));
}

TEST_F(EnhancementTest, ParentsThatAreClassesAreAdded) {
  const auto out =
      enhance_labels(clips, {{3}, {2}, {0}, {0, 1}}, set,
                     {.taxonomy = Taxonomy::read(file("o.json", kOntology)), .teacher = {}, .threshold = {}});
  EXPECT_THAT(out.classes,
              ElementsAre(ElementsAre(0, 1, 3), ElementsAre(0, 2), ElementsAre(0), ElementsAre(0, 1)));
  EXPECT_EQ(out.from_taxonomy, 3);
  EXPECT_EQ(out.from_teacher, 0);
  EXPECT_EQ(out.clips_changed, 2);
}

TEST_F(EnhancementTest, TeachersHighScoresAreAddedAndThenWhatStandsAboveThem) {
  const TeacherScores scores = {{"clip0", {{3, 0.9}, {2, 0.2}}}, {"elsewhere", {{0, 1.0}}}};
  const auto alone =
      enhance_labels(clips, {{2}, {2}, {2}, {2}}, set, {.taxonomy = {}, .teacher = scores, .threshold = 0.5});
  EXPECT_THAT(alone.classes, ElementsAre(ElementsAre(2, 3), ElementsAre(2), ElementsAre(2), ElementsAre(2)));
  const auto both = enhance_labels(
      clips, {{2}, {2}, {2}, {2}}, set,
      {.taxonomy = Taxonomy::read(file("o.json", kOntology)), .teacher = scores, .threshold = 0.5});
  EXPECT_THAT(both.classes[0], ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(both.from_teacher, 1);
  EXPECT_EQ(both.from_taxonomy, 2 + 3) << "two above in the first clip, one in each of the others";
}

TEST_F(EnhancementTest, MeanOfTheLabelledClipsIsTheThreshold) {
  const TeacherScores scores = {{"clip0", {{0, 0.25}}},
                                {"clip1", {{0, 0.75}}},
                                {"clip2", {{0, 0.5}, {1, 0.99}}},  // at the mean; no clip has class 1
                                {"clip3", {{0, 0.4}}}};
  const auto out =
      enhance_labels(clips, {{0}, {0}, {2}, {2}}, set, {.taxonomy = {}, .teacher = scores, .threshold = {}});
  EXPECT_THAT(out.classes, ElementsAre(ElementsAre(0), ElementsAre(0), ElementsAre(0, 2), ElementsAre(2)));
}

TEST_F(EnhancementTest, ScoresAreReadFromCsvAndJson) {
  const auto csv = read_teacher_scores(
      file("s.csv", "score,id,label\n0.5,clip0,Dog\n0.25,clip0,/m/cat\n1,clip1,Cat\n"), set);
  const auto json = read_teacher_scores(
      file("s.json", R"({"clips": [{"id": "clip0", "labels": [{"label": "Dog", "score": 0.5},
                         {"mid": "/m/cat", "label": "x", "score": 0.25}]},
                         {"id": "clip1", "labels": [{"mid": "/m/cat", "score": 1}]}]})"),
      set);
  const TeacherScores expected = {{"clip0", {{1, 0.5}, {2, 0.25}}}, {"clip1", {{2, 1.0}}}};
  EXPECT_EQ(csv, expected);
  EXPECT_EQ(json, expected);
}

TEST_F(EnhancementTest, BrokenFilesAreNamed) {
  EXPECT_THAT(taxonomy_error("{}"), HasSubstr("o.json: expected a list"));
  EXPECT_THAT(taxonomy_error("[{\"name\": \"x\"}]"), AllOf(HasSubstr("o.json: [0]"), HasSubstr("'id'")));
  EXPECT_THAT(taxonomy_error("[{\"id\": \"a\", \"child_ids\": [3]}]"), HasSubstr("must hold ids"));
  EXPECT_THAT(taxonomy_error("[{"), HasSubstr("o.json"));
  EXPECT_THAT(taxonomy_error("[{\"id\": \"a\", \"child_id\": [\"b\"]}]"),
              HasSubstr("none of its 1 entries has a child under 'child_ids'"));
  EXPECT_THAT(score_error("s.csv", "id,label,score\na,Dog,1\na,/m/dog,0.5\n"),
              HasSubstr("s.csv:3: '/m/dog' of clip 'a' was scored before"));
  EXPECT_THAT(score_error("s.csv", "id,label,score\na,Dog,0x1\n"), HasSubstr("s.csv:2"));
  EXPECT_THAT(
      score_error("s.json", R"({"clips": [{"id": "a", "labels": [{"mid": "/m/dog", "score": 1e999}]}]})"),
      HasSubstr("s.json: not valid JSON"));
  EXPECT_THAT(score_error("s.csv", "id,label\n"), HasSubstr("no column 'score'"));
  EXPECT_THAT(score_error("s.csv", "id,label,score\na,Dog,high\n"),
              HasSubstr("s.csv:2: 'score' must be a number"));
  EXPECT_THAT(score_error("s.csv", "id,label,score\na,Dogg,1\n"),
              HasSubstr("s.csv:2: 'Dogg' is none of the 4"));
  EXPECT_THAT(score_error("s.csv", ""), HasSubstr("is empty"));
  EXPECT_THAT(score_error("s.json", R"({"clips": [{"id": "a"}]})"), HasSubstr("clips[0]"));
  EXPECT_THAT(score_error("s.json", R"({"clips": [{"id": "a", "labels": [{"mid": "/m/dog"}]}]})"),
              HasSubstr("no number under 'score'"));
}

}  // namespace
}  // namespace cavmae
