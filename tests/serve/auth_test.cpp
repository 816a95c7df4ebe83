// Tokens, sessions, and where requests may come from.
#include "cavmae/serve/auth.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "cavmae/core/files.h"

#include "tests/serve/toy_server.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr const char *kRead = "reading-0123456789abcdef", *kAdmin = "ruling-0123456789abcdef";

std::filesystem::path token_file(const TemporaryFolder& folder) {
  write_text(folder / "tokens", concat("# who may\nread ", kRead, "\nadmin ", kAdmin, "  # me\n"));
  ::chmod((folder / "tokens").c_str(), 0600);
  return folder / "tokens";
}

TEST(Auth, ComparesWholeTexts) {
  EXPECT_TRUE(equal_in_constant_time("abc", "abc"));
  EXPECT_TRUE(equal_in_constant_time("", ""));
  for (const char* other : {"", "ab", "abd", "abcd", "abcabc", "xbc"}) {
    EXPECT_FALSE(equal_in_constant_time("abc", other));
    EXPECT_FALSE(equal_in_constant_time(other, "abc"));
  }
}

TEST(Auth, TokenFilesAreHeldToTheirForm) {
  const TemporaryFolder folder;
  const auto error = [&](const std::string& text, mode_t mode = 0600) {
    write_text(folder / "t", text);
    ::chmod((folder / "t").c_str(), mode);
    return message_from<ConfigError>([&] { Auth({.token_file = folder / "t"}); });
  };
  EXPECT_THAT(error(concat("read ", kRead), 0644), HasSubstr("chmod 600"));
  EXPECT_THAT(error("read short"), AllOf(HasSubstr("t:1"), HasSubstr("20 characters")));
  EXPECT_THAT(error(concat("\nwrite ", kRead)), HasSubstr("t:2"));
  EXPECT_THAT(error(concat("read ", kRead, " more")), HasSubstr("t:1"));
  EXPECT_THAT(error("# nothing\n"), HasSubstr("no token"));
  EXPECT_THAT(message_from<ConfigError>([&] { Auth({.token_file = folder / "none"}); }),
              HasSubstr("not there"));
}

TEST(Serve, OthersReachItOnlyWithTokens) {
  ServeOptions options{.host = "0.0.0.0"};
  EXPECT_THAT(message_from<ConfigError>([&] { options.validate(); }), HasSubstr("--token-file"));
  options.token_file = "tokens";
  options.validate();
}

class TokenApi : public ServedToy {};

TEST_F(TokenApi, AsksForTokens) {
  RunningServer server(*toy_, {.token_file = token_file(*folder_)});
  auto client = server.client();
  const auto with = [&](const std::string& token) {
    return httplib::Headers{{"Authorization", "Bearer " + token}};
  };
  for (const char* open : {"/", "/page.js", "/healthz", "/readyz", "/openapi.json"})
    EXPECT_EQ(client.Get(open)->status, 200) << open;
  for (const char* closed : {"/metrics", "/v1/library", "/v1/moments/1", "/v1/moments/1/thumbnail",
                             "/v1/files/1/media", "/v1/index"}) {
    EXPECT_EQ(client.Get(closed)->status, 401) << closed;
    EXPECT_EQ(client.Get(std::string(closed) + "?token=" + kRead)->status, 401) << closed;
  }
  EXPECT_EQ(client.Get("/v1/library")->get_header_value("WWW-Authenticate"), "Bearer");
  EXPECT_EQ(client.Get("/v1/library", with(kRead))->status, 200);
  EXPECT_EQ(json_of(client.Get("/v1/library", with(kRead)))["access"], "read");
  EXPECT_EQ(json_of(client.Get("/v1/library", with(kAdmin)))["access"], "admin");
  EXPECT_EQ(client.Post("/v1/search", R"({"moment":1})", "application/json")->status, 401);
  const std::string path = Json({{"path", film("sounds").string()}}).dump();
  EXPECT_EQ(client.Post("/v1/index", with(kRead), path, "application/json")->status, 401);
  EXPECT_EQ(client.Post("/v1/index", with(kAdmin), path, "application/json")->status, 202);
}

TEST_F(TokenApi, ATokenBecomesASession) {
  RunningServer server(*toy_, {.token_file = token_file(*folder_)});
  auto client = server.client();
  const auto begun = client.Post("/v1/session", Json({{"token", kRead}}).dump(), "application/json");
  ASSERT_EQ(begun->status, 200) << begun->body;
  const std::string cookie = begun->get_header_value("Set-Cookie");
  EXPECT_THAT(cookie,
              AllOf(HasSubstr("HttpOnly"), HasSubstr("SameSite=Strict"), testing::Not(HasSubstr(kRead))));
  const httplib::Headers session = {{"Cookie", "a=b; " + cookie.substr(0, cookie.find(';'))}};
  EXPECT_EQ(client.Get("/v1/library", session)->status, 200);
  EXPECT_EQ(client.Get("/v1/library", httplib::Headers{{"Cookie", "cavmae_0=guessed"}})->status, 401);
  const auto wrong =
      client.Post("/v1/session", R"({"token":"nothing-0123456789abcdef"})", "application/json");
  EXPECT_EQ(wrong->status, 401);
  EXPECT_FALSE(wrong->has_header("Set-Cookie"));
  for (int i = 0; i < 9; ++i)
    client.Post("/v1/session", R"({"token":"nothing-0123456789abcdef"})", "application/json");
  const auto many = client.Post("/v1/session", Json({{"token", kRead}}).dump(), "application/json");
  EXPECT_EQ(many->status, 429);
  EXPECT_TRUE(many->has_header("Retry-After"));
  EXPECT_EQ(client.Get("/v1/library", session)->status, 200);  // whoever is in stays in
}

TEST_F(TokenApi, NoTokenIsLogged) {
  const CapturedLog captured;
  captured.log->set_level(spdlog::level::trace);
  std::string cookie;
  const std::string wrong = "guessed-0123456789abcdef";
  {
    RunningServer server(*toy_, {.token_file = token_file(*folder_)}, captured.log);
    auto client = server.client();
    for (const std::string& token : {std::string(kRead), std::string(kAdmin), wrong}) {
      const httplib::Headers bearer = {{"Authorization", "Bearer " + token}};
      client.Get("/v1/library", bearer);
      client.Get("/v1/library?token=" + token);
      client.Get("/v1/" + token, bearer);
      client.Post("/v1/search", bearer, "{\"moment\": \"" + token + "\"}", "application/json");
      const auto begun = client.Post("/v1/session", Json({{"token", token}}).dump(), "application/json");
      ASSERT_TRUE(begun);
      if (begun->status == 200) cookie = begun->get_header_value("Set-Cookie");
    }
    const size_t value = cookie.find('=') + 1;
    cookie = cookie.substr(value, cookie.find(';') - value);
    ASSERT_GE(cookie.size(), 16u);
    client.Get("/v1/library", httplib::Headers{{"Cookie", "cavmae_0=" + cookie}});
  }
  const std::string text = captured.text->str();
  EXPECT_THAT(text, AllOf(HasSubstr("GET /v1/library 200"), HasSubstr("POST /v1/session 401")));
  for (const std::string& secret : {std::string(kRead), std::string(kAdmin), wrong, cookie})
    EXPECT_THAT(text, testing::Not(HasSubstr(secret)));
}

TEST_F(TokenApi, OtherSitesAndNamesAreRefused) {
  RunningServer server(*toy_, {.allow_host = {"media.example.org"}});
  auto client = server.client();
  const auto get = [&](const httplib::Headers& headers) {
    return client.Get("/v1/library", headers)->status;
  };
  const std::string port = ":" + std::to_string(server.port());
  EXPECT_EQ(get({{"Host", "localhost" + port}}), 200);
  EXPECT_EQ(get({{"Host", "[::1]" + port}}), 200);
  EXPECT_EQ(get({{"Host", "media.example.org"}}), 200);
  EXPECT_EQ(get({{"Host", "MEDIA.example.org:443"}}), 200);
  EXPECT_EQ(get({{"Host", "attacker.example" + port}}), 403);
  EXPECT_EQ(get({{"Host", "127.0.0.1.attacker.example"}}), 403);
  EXPECT_EQ(get({{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "no-cors"}}), 403);
  EXPECT_EQ(get({{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "navigate"}}), 200);
  const auto post = [&](const httplib::Headers& headers) {
    return client.Post("/v1/search", headers, R"({"moment":1})", "application/json")->status;
  };
  const std::string own = "127.0.0.1" + port;
  EXPECT_NE(post({{"Origin", "http://" + own}, {"Host", own}}), 403);
  EXPECT_NE(post({{"Origin", "https://media.example.org"}, {"Host", own}}), 403);
  EXPECT_EQ(post({{"Origin", "https://attacker.example"}, {"Host", own}}), 403);
  EXPECT_EQ(post({{"Origin", "http://127.0.0.1:1"}, {"Host", own}}), 403);
  EXPECT_EQ(post({{"Origin", "null"}, {"Host", own}}), 403);
}

TEST_F(TokenApi, AnswersForbidWhatPagesNeedNot) {
  auto client = server_->client();
  const auto page = client.Get("/");
  EXPECT_THAT(page->get_header_value("Content-Security-Policy"),
              AllOf(HasSubstr("default-src 'none'"), HasSubstr("script-src 'self'"),
                    testing::Not(HasSubstr("unsafe"))));
  EXPECT_THAT(page->body, testing::Not(testing::AnyOf(HasSubstr("https://"), HasSubstr("http://"),
                                                      HasSubstr("style="), HasSubstr("onclick"))));
  const int64_t id = best_of("grey.png", "video")["file"];
  const auto media = client.Get("/v1/files/" + std::to_string(id) + "/media");
  EXPECT_EQ(media->get_header_value("X-Content-Type-Options"), "nosniff");
  EXPECT_THAT(media->get_header_value("Content-Security-Policy"), HasSubstr("sandbox"));
  EXPECT_EQ(media->get_header_value("Cross-Origin-Resource-Policy"), "same-origin");
}

}  // namespace
}  // namespace cavmae
