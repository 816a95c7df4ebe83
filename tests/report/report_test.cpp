#include "cavmae/report/report.h"

#include <regex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"

#include "tests/report/sample_content.h"

namespace cavmae {
namespace {

using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::Lt;
using ::testing::Not;

// The page without what its scripts and styles contain.
std::string markup_of(std::string page) {
  for (const char* element : {"script", "style"}) {
    const std::string open = concat("<", element), close = concat("</", element, ">");
    for (size_t at = page.find(open); at != std::string::npos; at = page.find(open, at + 1)) {
      const size_t begin = page.find('>', at) + 1, end = page.find(close, begin);
      if (end == std::string::npos) throw std::runtime_error("an element is not closed");
      page.erase(begin, end - begin);
    }
  }
  return page;
}

// The first tag that is closed out of order or left open, "" when all is well.
std::string unbalanced_tag(const std::string& markup) {
  std::vector<std::string> open;
  const std::regex tag("<(/?)([a-zA-Z][a-zA-Z0-9]*)[^>]*>");
  for (std::sregex_iterator it(markup.begin(), markup.end(), tag), end; it != end; ++it) {
    const std::string name = (*it)[2];
    if (name == "meta" || name == "img" || name == "br") continue;
    if ((*it)[1].length() == 0) {
      open.push_back(name);
    } else if (open.empty() || open.back() != name) {
      return "</" + name + ">";
    } else {
      open.pop_back();
    }
  }
  return open.empty() ? "" : "<" + open.back() + ">";
}

size_t count_of(const std::string& text, const std::string& what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + what.size())) ++count;
  return count;
}

// Pictures out, so that the regular expression has little to walk over.
std::string without_pictures(std::string page) {
  for (size_t at = page.find("src=\"data:"); at != std::string::npos; at = page.find("src=\"data:", at + 1))
    page.erase(at + 10, page.find('"', at + 5) - at - 10);
  return page;
}

TEST(Report, HoldsEveryPart) {
  const std::string page = render_report(testing::sample_content());
  for (const char* part : {"<!DOCTYPE html>", "cavmae: demo", "id=\"curves\"", "id=\"retrieval\"",
                           "id=\"examples\"", "id=\"reconstructions\"", "id=\"settings\"", "id=\"notes\"",
                           "52.5 %", "105 times chance", "148", "held_out/clip_00003.mp4", "embed_dim",
                           "bidirectional", "Chart.js v", "held_out/broken.mp4: 0 bytes"})
    EXPECT_THAT(page, HasSubstr(part));
  EXPECT_EQ(count_of(page, "class=\"card query\""), 6u);
  EXPECT_EQ(count_of(page, "class=\"tile partner\""), 4u);
  EXPECT_EQ(count_of(page, "<img "), 6u * 6 * 2 + 4 * 6);
  EXPECT_EQ(count_of(page, "src=\"data:image/"), count_of(page, "<img "));
}

TEST(Report, IsWholeAndSmall) {
  const std::string page = render_report(testing::sample_content());
  EXPECT_EQ(unbalanced_tag(markup_of(without_pictures(page))), "");
  EXPECT_THAT(page.size(), Gt(200'000u));
  EXPECT_THAT(page.size(), Lt(3'000'000u));
}

TEST(Report, LoadsNothingFromElsewhere) {
  const std::string page = without_pictures(render_report(testing::sample_content()));
  const std::string markup = markup_of(page);
  EXPECT_THAT(markup, Not(HasSubstr("http:")));
  EXPECT_THAT(markup, Not(HasSubstr("https:")));
  EXPECT_THAT(markup, Not(HasSubstr("<link")));
  EXPECT_THAT(markup, Not(HasSubstr("<iframe")));
  EXPECT_THAT(page, Not(HasSubstr("@import")));
  EXPECT_THAT(page, Not(HasSubstr("url(")));
  EXPECT_FALSE(std::regex_search(markup, std::regex("src=\"(?!data:)")));
  EXPECT_FALSE(std::regex_search(markup, std::regex("href=\"(?!#)")));
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
}

TEST(Report, EscapesWhatClipsAreCalled) {
  const std::string attack = "\"><script>alert('x')</script><img src=x onerror=y>&.mp4";
  ReportContent content = testing::sample_content();
  content.title = content.subtitle = content.reconstruction_note = attack;
  content.notes = {attack};
  content.config = {{attack, {{attack, attack}}}};
  content.metrics.push_back({{"kind", attack}, {"step", 1}, {attack, 2.0}});
  content.queries[0].query.id = content.queries[0].answers[0].id = attack;
  content.queries[0].query.labels = {attack, "caf\xE9"};
  content.queries[0].kind = attack;
  content.reconstructions[0].id = attack;
  const std::string page = render_report(content);
  EXPECT_THAT(page, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(page, Not(HasSubstr("<img src=x")));
  EXPECT_THAT(page, Not(HasSubstr("\xE9\"")));
  EXPECT_EQ(unbalanced_tag(markup_of(without_pictures(page))), "");
}

TEST(Report, StandsNumbersThatAreNotFinite) {
  ReportContent content = testing::sample_content();
  content.metrics.push_back({{"kind", "train"}, {"step", 4000}, {"loss", NAN}, {"accuracy", INFINITY}});
  content.metrics.push_back({{"kind", "train"}, {"step", 4020}, {"loss", nullptr}});
  content.retrieval["audio_to_video"]["r1"] = NAN;
  content.config["learning_rate"] = NAN;
  content.queries[0].scores[0] = NAN;
  const std::string page = without_pictures(render_report(content));
  const size_t begin = page.find("id=\"chart-data\">") + 16;
  const Json charts = Json::parse(page.substr(begin, page.find("</script>", begin) - begin));
  EXPECT_TRUE(charts[0]["series"][0]["values"].back()[1].is_null());
  EXPECT_EQ(unbalanced_tag(markup_of(page)), "");
}

TEST(Report, LeavesOutWhatThereIsNot) {
  ReportContent empty;
  empty.title = "nothing yet";
  const std::string page = render_report(empty);
  EXPECT_THAT(page, HasSubstr("nothing yet"));
  EXPECT_THAT(page, Not(HasSubstr("<section")));
  EXPECT_THAT(page, Not(HasSubstr("Chart.js v"))) << "no curves, no library";
  EXPECT_EQ(unbalanced_tag(markup_of(page)), "");
}

TEST(Report, ShowsClipsWithoutPictures) {
  ReportContent content = testing::sample_content();
  content.queries[0].query.picture = torch::Tensor();
  content.queries[0].answers[1].spectrogram = torch::Tensor();
  content.reconstructions[0].original_picture = content.reconstructions[0].masked_picture =
      content.reconstructions[0].rebuilt_picture = torch::Tensor();
  EXPECT_EQ(count_of(render_report(content), "not available"), 2u);
}

TEST(Report, IsWrittenWhole) {
  const auto folder = std::filesystem::temp_directory_path() / concat("cavmae_report_", ::getpid());
  std::filesystem::create_directories(folder);
  write_report(folder / "report.html", testing::sample_content());
  EXPECT_EQ(read_text(folder / "report.html"), render_report(testing::sample_content()));
  std::filesystem::remove_all(folder);
}

TEST(SpectrogramPicture, PutsLowFrequenciesBelow) {
  torch::Tensor fbank = torch::zeros({3, 2});
  fbank[1][0] = 1;  // loud and low in the middle frame
  const torch::Tensor picture = spectrogram_picture(fbank, {0, 1});
  EXPECT_EQ(picture.sizes(), (std::vector<int64_t>{2, 3, 3}));
  const torch::Tensor brightness = picture.to(torch::kInt64).sum(2);
  EXPECT_EQ(brightness.argmax().item<int64_t>(), 1 * 3 + 1);
}

TEST(SpectrogramPicture, GetsLighterWithEnergy) {
  const torch::Tensor ramp = torch::linspace(-0.5, 1.5, 300).unsqueeze(1);
  const torch::Tensor rgb = spectrogram_picture(ramp, {0, 1})[0].to(torch::kFloat64);  // [300, 3]
  const torch::Tensor linear = (rgb / 255).pow(2.2);
  const torch::Tensor luminance =
      0.2126 * linear.select(1, 0) + 0.7152 * linear.select(1, 1) + 0.0722 * linear.select(1, 2);
  EXPECT_TRUE(luminance.diff().ge(-1e-9).all().item<bool>());
  EXPECT_GT((luminance[299] - luminance[0]).item<double>(), 0.8);
}

TEST(SpectrogramPicture, ShowsHolesInGrey) {
  const torch::Tensor picture = spectrogram_picture(torch::full({1, 1}, NAN), {0, 1});
  EXPECT_LT(picture.max().item<int64_t>() - picture.min().item<int64_t>(), 20);
  EXPECT_NO_THROW(spectrogram_picture(torch::zeros({2, 2}), {1, 1})) << "no span";
  EXPECT_THROW(spectrogram_picture(torch::zeros({2}), {0, 1}), Error);
}

}  // namespace
}  // namespace cavmae
