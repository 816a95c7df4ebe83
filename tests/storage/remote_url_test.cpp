#include "cavmae/storage/remote_url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"

#include "tests/support/servers.h"

namespace cavmae {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::Environment;

Environment without_keys() {
  return Environment{{"AWS_ENDPOINT_URL", ""},  {"AWS_ACCESS_KEY_ID", ""}, {"AWS_SECRET_ACCESS_KEY", ""},
                     {"AWS_SESSION_TOKEN", ""}, {"AWS_REGION", ""},        {"AWS_DEFAULT_REGION", ""}};
}

TEST(RemoteUrl, IsToldByItsBeginning) {
  for (const char* name : {"http://a/b.tar", "https://a/b.tar", "s3://a/b.tar"}) EXPECT_TRUE(is_remote(name));
  for (const char* name : {"a.tar", "/s3/a.tar", "s3:/a", "httpx://a", ""}) EXPECT_FALSE(is_remote(name));
}

TEST(RemoteUrl, OfAWebServerStaysAsItIsButForWhatNoUrlMayHold) {
  EXPECT_EQ(address_of("http://h:1/a%20b=c+d.tar?x=1&y=2").url, "http://h:1/a%20b=c+d.tar?x=1&y=2");
  EXPECT_EQ(address_of("https://h/a b/ü.tar").url, "https://h/a%20b/%C3%BC.tar");
}

TEST(RemoteUrl, OfAnObjectIsEscapedAndItsQuerySorted) {
  const Environment none = without_keys();
  EXPECT_EQ(address_of("s3://b/x/a=b+c ü~.tar").url,
            "https://b.s3.us-east-1.amazonaws.com/x/a%3Db%2Bc%20%C3%BC~.tar");
  EXPECT_EQ(
      address_of("s3://b/", {{"prefix", "x/a&b"}, {"list-type", "2"}, {"continuation-token", "a/b="}}).url,
      "https://b.s3.us-east-1.amazonaws.com/?continuation-token=a%2Fb%3D&list-type=2&prefix=x%2Fa%26b");
  EXPECT_EQ(address_of("s3://a.b/x.tar").url, "https://s3.us-east-1.amazonaws.com/a.b/x.tar")
      << "no certificate is for a bucket with dots";
  EXPECT_THAT(address_of("s3://b/x").signature, IsEmpty());
}

TEST(RemoteUrl, TakesTheUsualEnvironment) {
  const Environment none = without_keys();
  const Environment keys{{"AWS_ENDPOINT_URL", "http://localhost:9000/"},
                         {"AWS_ACCESS_KEY_ID", "id"},
                         {"AWS_SECRET_ACCESS_KEY", "secret"},
                         {"AWS_SESSION_TOKEN", "token"},
                         {"AWS_DEFAULT_REGION", "eu-central-1"}};
  const RemoteAddress address = address_of("s3://b/x.tar");
  EXPECT_EQ(address.url, "http://localhost:9000/b/x.tar");
  EXPECT_EQ(address.signature, "aws:amz:eu-central-1:s3");
  EXPECT_EQ(address.credentials, "id:secret");
  EXPECT_THAT(address.headers,
              ElementsAre(HasSubstr("x-amz-content-sha256: e3b0c442"), "x-amz-security-token: token"));
  const Environment region{{"AWS_REGION", "eu-west-1"}};
  EXPECT_EQ(address_of("s3://b/x.tar").signature, "aws:amz:eu-west-1:s3");
}

TEST(RemoteUrl, RefusesWhatNamesNothing) {
  for (const char* name : {"s3://", "s3://bucket", "s3://bucket/", "s3:///key"})
    EXPECT_THAT(message_from<ConfigError>([&] { address_of(name); }), HasSubstr("s3://BUCKET/KEY")) << name;
  const Environment bad{{"AWS_ENDPOINT_URL", "localhost:9000"}};
  EXPECT_THAT(message_from<ConfigError>([] { address_of("s3://b/x"); }), HasSubstr("AWS_ENDPOINT_URL"));
}

}  // namespace
}  // namespace cavmae
