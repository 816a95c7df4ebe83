#include "cavmae/report/html.h"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cavmae {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(EscapeHtml, LeavesNoMarkup) {
  EXPECT_EQ(escape_html("<a href='x' b=\"y\">&amp;"), "&lt;a href=&#39;x&#39; b=&quot;y&quot;&gt;&amp;amp;");
  EXPECT_EQ(escape_html("Größe 猫 🎵\n\t"), "Größe 猫 🎵\n\t");
  EXPECT_EQ(escape_html(""), "");
}

TEST(EscapeHtml, ReplacesWhatIsNoText) {
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(escape_html("caf\xE9.wav"), "caf" + bad + ".wav");
  EXPECT_EQ(escape_html("\x01\x7F"), bad + bad);
  EXPECT_EQ(escape_html(std::string_view("\0x", 2)), bad + "x");
  EXPECT_EQ(escape_html("\xC0\xAF"), bad + bad) << "an overlong form";
  EXPECT_EQ(escape_html("\xED\xA0\x80"), bad + bad + bad) << "a surrogate";
  EXPECT_EQ(escape_html("\xF0\x9F\x8E"), bad + bad + bad) << "cut in the middle";
}

TEST(ScriptText, CannotEndItsElement) {
  EXPECT_THAT(script_json({{"a", "</script><script>alert(1)</script>"}}), Not(HasSubstr("<")));
  EXPECT_EQ(Json::parse(script_json({{"a", "</script>"}}))["a"], "</script>");
  EXPECT_THAT(script_text("x='</script>'; y='<!--'"), Not(HasSubstr("</script>")));
  EXPECT_EQ(script_json({{"a", std::numeric_limits<double>::infinity()}}), R"({"a":null})");
  EXPECT_NO_THROW(script_json({{"a", "caf\xE9"}}));
}

TEST(Base64, EqualsTheStandardsExamples) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64(std::string_view("\xFF\xFE\x00", 3)), "//4A");
}

TEST(ImageDataUri, TakesPngForSmallAndJpegForLarge) {
  EXPECT_THAT(image_data_uri(torch::zeros({8, 8, 3}, torch::kUInt8)),
              StartsWith("data:image/png;base64,iVBOR"));
  EXPECT_THAT(image_data_uri(torch::zeros({96, 80, 3}, torch::kUInt8)),
              StartsWith("data:image/jpeg;base64,/9j/"));
  EXPECT_EQ(image_data_uri({}), "");
  EXPECT_THAT(image_tag({}, "picture", "x"), HasSubstr("not available"));
  EXPECT_THAT(image_tag(torch::zeros({8, 8, 3}, torch::kUInt8), "picture", "\"><script>"),
              Not(HasSubstr("<script>")));
}

TEST(NumberText, IsReadable) {
  EXPECT_EQ(number_text(1234567), "1,234,567");
  EXPECT_EQ(number_text(-1234), "-1,234");
  EXPECT_EQ(number_text(-123456), "-123,456");
  EXPECT_EQ(number_text(999), "999");
  EXPECT_EQ(number_text(0.012346), "0.01235");
  EXPECT_EQ(number_text(std::numeric_limits<double>::quiet_NaN()), "not finite");
  EXPECT_EQ(percent_text(0.525), "52.5 %");
  EXPECT_EQ(percent_text(0.0005), "0.05 %");
  EXPECT_EQ(percent_text(0), "0.0 %");
}

}  // namespace
}  // namespace cavmae
