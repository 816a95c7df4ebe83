// Serving a library in PostgreSQL: one that others extend, and one whose server goes and comes.
#include <gmock/gmock.h>

#include "tests/search/postgres_servers.h"
#include "tests/search/same_results.h"
#include "tests/serve/toy_server.h"
#include "tests/support/background.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing_support::wait_until;

TEST(PostgresServe, ServesWhatOthersAddAndRecoversWithItsServer) {
  CAVMAE_SKIP_OR_FAIL_WITHOUT(have_postgres(), "postgresql");
  PostgresServer postgres;
  TemporaryFolder folder;
  const ToyLibrary toy(folder.path(), postgres.new_database());
  LibrarySettings settings = toy.settings();
  settings.vectors = VectorType::text;
  write_sounds_and_pictures(toy.films());
  toy.index(settings);
  const RunningServer server(toy);
  auto client = server.client();
  EXPECT_EQ(client.Get("/readyz")->status, 200);
  const Json library = json_of(client.Get("/v1/library"));
  EXPECT_EQ(library["files"], 12);
  EXPECT_THAT(library["name"].get<std::string>(), HasSubstr("test1"));

  const auto search = [&] {
    const auto result = client.Post("/v1/search", form_of(toy.films() / "sounds/3.wav",
                                                          {{"by", "audio"}, {"for", "audio"}, {"at", "0"}}));
    const Json json = json_of(result);
    EXPECT_EQ(result->status, 200) << result->body;
    return json;
  };
  const Json found = search();
  EXPECT_EQ(found["results"][0]["name"], "3.wav");
  EXPECT_NEAR(found["results"][0]["moments"][0]["similarity"].get<double>(), 1.0, 1e-3);
  const int64_t moment = found["results"][0]["moments"][0]["moment"];
  EXPECT_EQ(client.Get("/v1/moments/" + std::to_string(moment) + "/spectrogram")->status, 200);
  EXPECT_EQ(post_json(client, "/v1/search", {{"moment", moment}, {"for", "audio"}})["results"][0]["name"],
            "3.wav");

  write_wav(toy.films() / "sounds/new.wav", 3, 777);
  toy.index(settings);
  EXPECT_EQ(json_of(client.Get("/v1/library"))["files"], 13);
  EXPECT_EQ(search()["searched"].get<int64_t>(), found["searched"].get<int64_t>() + 2);

  postgres.end();
  for (const char* path : {"/readyz", "/v1/library", "/v1/moments/1"}) {
    const auto away = client.Get(path);
    EXPECT_EQ(away->status, 503) << path;
    EXPECT_TRUE(away->has_header("Retry-After"));
    EXPECT_THAT(away->body, AllOf(HasSubstr("library_away"), HasSubstr("127.0.0.1"), HasSubstr("cure"),
                                  Not(HasSubstr("s3cret"))));
  }
  EXPECT_EQ(client.Get("/healthz")->status, 200);
  postgres.begin();
  EXPECT_TRUE(wait_until([&] { return client.Get("/readyz")->status == 200; }, 20, "the library"));
  EXPECT_EQ(search()["results"][0]["name"], "3.wav");
}

}  // namespace
}  // namespace cavmae
