#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/utf8.h"
#include "cavmae/search/moment_rows.h"
#include "cavmae/search/postgres/texts.h"
#include "cavmae/search/postgres/url.h"

#include "tests/support/normal.h"
#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

TEST(PostgresTexts, UrlsAreShownWithoutPasswords) {
  EXPECT_EQ(shown_url("postgresql://ann:s3cret@db.example:5433/films?sslmode=require"),
            "postgresql://ann:***@db.example:5433/films");
  EXPECT_EQ(shown_url("postgres://ann@db/films"), "postgres://ann@db/films");
  EXPECT_EQ(shown_url("postgresql://db/films?user=ann&password=s3cret"), "postgresql://db/films");
  // What a careless password may hold.
  for (const std::string password : {"s3/cret", "s3@cret", "s3?cret", "s3 cret", "s3:cret"})
    EXPECT_EQ(shown_url("postgresql://ann:" + password + "@db/films"), "postgresql://ann:***@db/films");
}

TEST(PostgresTexts, PathsOfAnyBytesComeBack) {
  std::string all = "/";
  for (int c = 1; c < 256; ++c) all += static_cast<char>(c);
  for (const std::string& path : {std::string("/films/a.mp4"), std::string("/caf\xe9/\xff\xfe.wav"),
                                  std::string("/gr\xc3\xbc\xc3\x9f/\xe2\x82\xac\xf0\x9f\x8e\xac"), all}) {
    EXPECT_TRUE(is_utf8(path_to_text(path)));
    EXPECT_EQ(text_to_path(path_to_text(path)), path);
  }
  EXPECT_EQ(path_to_text("/films/gr\xc3\xbc\xc3\x9f.mp4"), "/films/gr\xc3\xbc\xc3\x9f.mp4");
}

TEST(PostgresTexts, VectorsComeBackBitForBit) {
  const torch::Tensor vector = torch::cat({normal({50}, 1) * 100, normal({50}, 2) * 1e-6, torch::zeros({2})});
  const std::string bytes = vector_bytes(vector, torch::kFloat16);
  EXPECT_EQ(vector_bytes_of_text(vector_text(std::string_view(bytes))), bytes);
  // As halfvec_send() gives [1,-2]: the size, a zero, and the halves, high byte first.
  EXPECT_EQ(vector_bytes_of_text("\\x000200003c00c000"), vector_bytes_of_text("[1,-2]"));
  for (const char* text : {"", "[", "[1,x]", "1,2", "\\x0001", "\\x00010000zz00"})
    EXPECT_THROW(vector_bytes_of_text(text), DataError) << text;
}

}  // namespace
}  // namespace cavmae
