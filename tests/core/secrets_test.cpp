#include "cavmae/core/secrets.h"

#include <gtest/gtest.h>

namespace cavmae {
namespace {

TEST(Secrets, PasswordsInUrlsAreHidden) {
  EXPECT_EQ(without_passwords("cannot open postgresql://ann:s3cret@db/films, try again"),
            "cannot open postgresql://ann:***@db/films, try again");
  EXPECT_EQ(without_passwords("'https://a:b@c' and 'https://d:e@f?password=g&x=1'"),
            "'https://a:***@c' and 'https://d:***@f?password=***&x=1'");
  EXPECT_EQ(url_without_password("postgresql://ann:s3 @ret@db/films"), "postgresql://ann:***@db/films");
}

TEST(Secrets, OtherTextStaysAsItIs) {
  for (const char* text :
       {"", "no URL: a@b", "https://example.org:8080/a?b=c", "postgresql://ann@db/films", "://"})
    EXPECT_EQ(without_passwords(text), text);
}

}  // namespace
}  // namespace cavmae
