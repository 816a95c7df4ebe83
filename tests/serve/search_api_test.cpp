// Searching over HTTP: what is found, and what is refused.
#include <algorithm>
#include <atomic>

#include <gmock/gmock.h>

#include "cavmae/search/search.h"

#include "tests/serve/toy_server.h"

namespace cavmae {
namespace {

using testing::HasSubstr;

class SearchApi : public ServedToy {};

TEST_F(SearchApi, FindsTheFileThatAQueryIs) {
  for (const auto& [name, side] : {std::pair("film.mp4", "audio"), std::pair("film.mp4", "video"),
                                   std::pair("old.avi", "video"), std::pair("sounds/bird.wv", "audio"),
                                   std::pair("sounds/hum.wav", "audio"), std::pair("grey.png", "video")}) {
    auto client = server_->client();
    const auto result = client.Post(
        "/v1/search", form_of(film(name), {{"by", side}, {"for", side}, {"top", "2"}, {"at", "0"}}));
    const Json json = json_of(result);
    ASSERT_TRUE(json.contains("results")) << json.dump();
    EXPECT_EQ(json["results"][0]["path"], film(name).string()) << side;
    EXPECT_LE(json["results"].size(), 2u);
    EXPECT_NEAR(json["results"][0]["moments"][0]["similarity"].get<double>(), 1.0, 1e-3) << name;
    EXPECT_EQ(json["model"], library_model(toy_->model()).parameters_hash);
    EXPECT_EQ(json["generation"], 1);
    EXPECT_EQ(result->get_header_value("Cavmae-Model"), json["model"].get<std::string>());
    EXPECT_EQ(result->get_header_value("Cavmae-Generation"), "1");
  }
}

TEST_F(SearchApi, EqualsASearchWithoutAServer) {
  auto client = server_->client();
  const Json answer = json_of(client.Post("/v1/embed", form_of(film("film.mp4"), {{"at", "1"}})));
  const Model model(folder_->path() / "model.safetensors");
  const ClipVectors vectors =
      model.embed(film("film.mp4"), {.window_start = 1.0, .frames = FrameChoice::all});
  for (const auto& [name, expected] :
       {std::pair("audio", vectors.audio), std::pair("video", vectors.video)}) {
    const auto numbers = answer[name].get<std::vector<float>>();
    EXPECT_TRUE(torch::allclose(torch::tensor(numbers), expected, 1e-4, 1e-5)) << name;
  }
  FolderReader reader(toy_->library());
  const auto hits = search(reader, {.audio = vectors.audio, .video = {}}, {.target = SearchFor::video});
  const Json json =
      post_json(client, "/v1/search", {{"vector", answer["audio"]}, {"by", "audio"}, {"for", "video"}});
  ASSERT_EQ(json["results"].size(), hits.size());
  for (size_t i = 0; i < hits.size(); ++i) EXPECT_EQ(json["results"][i]["path"], hits[i].file.path);
}

// Of a network whose sound is by segments: what a short query lacks of the window is no part of its vector.
TEST(AlignedSearchApi, AShortQueryIsNotDilutedBySilence) {
  CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_ffmpeg(), "ffmpeg");
  const TemporaryFolder folder;
  const ToyLibrary toy(folder.path(), {}, Alignment::picture);
  write_wav(toy.films() / "hum.wav", 0.3, 120);
  write_wav(toy.films() / "beep.wav", 0.3, 2000);
  write_video(toy.films() / "film.mkv", 3, "-c:v libx264 -g 20 -c:a pcm_s16le");
  toy.index();
  const RunningServer server(toy);
  auto client = server.client();
  for (const auto& [name, side] : {std::pair("hum.wav", "audio"), std::pair("beep.wav", "audio")}) {
    const Json json =
        json_of(client.Post("/v1/search", form_of(toy.films() / name, {{"by", side}, {"for", side}})));
    ASSERT_TRUE(json.contains("results")) << json.dump();
    EXPECT_EQ(json["results"][0]["name"], name);
    EXPECT_NEAR(json["results"][0]["moments"][0]["similarity"].get<double>(), 1.0, 1e-5) << name;
  }
  const Json film = json_of(client.Post("/v1/embed", form_of(toy.films() / "film.mkv", {{"at", "0.5"}})));
  const ClipVectors vectors =
      Model(folder / "model.safetensors")
          .embed(toy.films() / "film.mkv", {.window_start = 0.5, .frames = FrameChoice::all});
  EXPECT_TRUE(
      torch::allclose(torch::tensor(film["audio"].get<std::vector<float>>()), vectors.audio, 1e-4, 1e-5));
  EXPECT_TRUE(
      torch::allclose(torch::tensor(film["video"].get<std::vector<float>>()), vectors.video, 1e-4, 1e-5));
}

TEST_F(SearchApi, MoreLikeAMoment) {
  auto client = server_->client();
  const Json best = best_of("film.mp4", "audio");
  const int64_t id = best["moments"][0]["moment"];
  const Json json = post_json(client, "/v1/search", {{"moment", id}, {"by", "audio"}, {"for", "audio"}});
  EXPECT_EQ(json["results"][0]["moments"][0]["moment"], id);
  EXPECT_NEAR(json["results"][0]["moments"][0]["similarity"].get<double>(), 1.0, 1e-6);
  EXPECT_EQ(json["query"], Json::array({"audio"}));
  const Json below = post_json(client, "/v1/search",
                               {{"moment", id}, {"under", film("sounds").string()}, {"min_score", 0.0}});
  for (const Json& file : below["results"])
    EXPECT_TRUE(file["path"].get<std::string>().starts_with(film("sounds").string() + "/"));
}

TEST_F(SearchApi, RefusesWithCodeMessageAndCure) {
  auto client = server_->client();
  write_text(folder_->path() / "words.txt", "no media at all");
  const auto check = [&](const httplib::Result& result, int status, const std::string& code,
                         const std::string& words) {
    const Json json = json_of(result);
    EXPECT_EQ(result->status, status) << json.dump();
    ASSERT_TRUE(json.contains("error")) << json.dump();
    EXPECT_EQ(json["error"]["code"], code);
    EXPECT_THAT(json["error"]["message"].get<std::string>(), HasSubstr(words));
    EXPECT_NE(json["error"]["cure"], "");
  };
  check(client.Post("/v1/search", form_of(folder_->path() / "words.txt")), 415, "undecodable", "words.txt");
  check(client.Post("/v1/search", form_of(film("sounds/hum.wav"), {{"by", "video"}})), 415, "undecodable",
        "no pictures");
  check(client.Post("/v1/search", "{}", "application/json"), 400, "bad_request", "one query is needed");
  check(client.Post("/v1/search", "{\"moment\":", "application/json"), 400, "bad_request", "the body");
  check(client.Post("/v1/search", "moment=1", "application/x-www-form-urlencoded"), 415, "content_type",
        "urlencoded");
  check(client.Post("/v1/search", R"({"moment": 1, "tops": 3})", "application/json"), 400, "bad_request",
        "tops");
  check(client.Post("/v1/search", R"({"moment": "one"})", "application/json"), 400, "bad_request", "moment");
  check(client.Post("/v1/search", R"({"moment": 1, "for": "smell"})", "application/json"), 400, "bad_request",
        "for");
  check(client.Post("/v1/search", R"({"moment": 1, "under": "films"})", "application/json"), 400,
        "bad_request", "under");
  check(client.Post("/v1/search", R"({"moment": 1, "min_score": 7})", "application/json"), 400, "bad_request",
        "min_score");
  check(client.Post("/v1/search", R"({"vector": [1, 2], "by": "audio"})", "application/json"), 400,
        "bad_request", "2 numbers");
  check(client.Post("/v1/search", R"({"moment": 999999})", "application/json"), 404, "moment", "999999");
  check(client.Get("/v1/moments/999999"), 404, "moment", "999999");
  check(client.Get("/v1/nothing"), 404, "path", "nothing");
  check(client.Get("/v1/search"), 405, "method", "GET");
  check(client.Delete("/v1/library"), 405, "method", "DELETE");
}

TEST_F(SearchApi, UploadsAreBounded) {
  RunningServer small(*toy_, {.max_upload_mb = 1, .max_media_seconds = 2});
  auto client = small.client();
  write_wav(folder_->path() / "long.wav", 60, 440);  // 1.9 MB
  const auto result = client.Post("/v1/search", form_of(folder_->path() / "long.wav"));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, 413) << result->body;
  const auto slow = client.Post("/v1/search", form_of(film("film.mp4")));
  EXPECT_EQ(slow->status, 415);
  EXPECT_THAT(slow->body, HasSubstr("s long"));
  EXPECT_EQ(client.Get("/healthz")->status, 200);
}

TEST_F(SearchApi, ManyQueriesAtOnceShareForwardPasses) {
  RunningServer server(*toy_, {.max_batch = 4, .batch_ms = 1000});
  auto whole = server.client();
  const Json alone = json_of(whole.Post("/v1/embed", form_of(film("film.mp4"))));
  constexpr int kClients = 12;
  std::atomic<int> same = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i)
    clients.emplace_back([&] {
      auto client = server.client();
      const auto result = client.Post("/v1/embed", form_of(film("film.mp4")));
      if (!result || result->status != 200) return;
      const auto numbers = Json::parse(result->body)["audio"].get<std::vector<float>>();
      same += torch::allclose(torch::tensor(numbers), torch::tensor(alone["audio"].get<std::vector<float>>()),
                              1e-4, 1e-5);
    });
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(same, kClients);
  const std::string metrics = whole.Get("/metrics")->body;
  const auto number = [&](const std::string& name) {
    const size_t at = metrics.find("\n" + name + " ");
    return std::stod(metrics.substr(at + name.size() + 2));
  };
  EXPECT_EQ(number("cavmae_queries_total"), kClients + 1);
  EXPECT_LT(number("cavmae_batches_total"), kClients);
}

TEST_F(SearchApi, AFullQueueIsAnsweredAtOnce) {
  RunningServer server(*toy_, {.max_batch = 1, .max_waiting = 1, .decoders = 1});
  std::atomic<int> good = 0, busy = 0, other = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < 24; ++i)
    clients.emplace_back([&] {
      auto client = server.client();
      const auto result = client.Post("/v1/embed", form_of(film("film.mp4")));
      if (result && result->status == 200)
        ++good;
      else if (result && result->status == 503 && result->has_header("Retry-After"))
        ++busy;
      else
        ++other;
    });
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(other, 0);
  EXPECT_GT(good, 0);
  EXPECT_EQ(good + busy, 24);
}

TEST_F(SearchApi, WhatAnotherProcessAddsIsFound) {
  auto client = server_->client();
  const int64_t before = json_of(client.Get("/v1/library"))["files"];
  write_wav(film("sounds/new.wav"), 3, 2000);
  toy_->index();
  EXPECT_EQ(json_of(client.Get("/v1/library"))["files"], before + 1);
  EXPECT_EQ(best_of("sounds/new.wav", "audio")["path"], film("sounds/new.wav").string());
}

TEST_F(SearchApi, AddsFilesInTheBackground) {
  auto client = server_->client();
  write_wav(film("sounds/later.wav"), 3, 1500);
  const auto outside = client.Post("/v1/index", Json({{"path", "/etc"}}).dump(), "application/json");
  EXPECT_EQ(outside->status, 400) << outside->body;
  const auto above =
      client.Post("/v1/index", Json({{"path", film("..").string()}}).dump(), "application/json");
  EXPECT_EQ(above->status, 400) << above->body;
  post_json(client, "/v1/index", {{"path", film("sounds").string()}}, 202);
  Json status;
  for (int i = 0; i < 600 && (i == 0 || status["state"] == "running"); ++i) {
    status = json_of(client.Get("/v1/index"));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_EQ(status["state"], "done") << status.dump();
  EXPECT_GE(status["result"]["added"].get<int>(), 1);
  EXPECT_EQ(best_of("sounds/later.wav", "audio")["path"], film("sounds/later.wav").string());
}

// Vectors of one model say nothing about those of another.
TEST(SearchAfterARebuild, OfAnotherModelAsksForANewStart) {
  const TemporaryFolder folder;
  const ToyLibrary toy(folder.path());
  write_wav(toy.films() / "a.wav", 3, 440);
  toy.index();
  const RunningServer server(toy);
  auto client = server.client();
  post_json(client, "/v1/search", {{"moment", 1}});
  const Pretrained other = load_pretrained(save_toy_model(folder.path() / "other.safetensors", 4));
  LibrarySettings settings = toy.settings();
  settings.model = library_model(other);
  const auto writer = open_library_to_write(toy.name(), settings, LibraryStart::rebuild, null_log());
  index_files(*writer, other, read_clip_sources({toy.films()}, *null_log()), {}, false, null_log());
  writer->finish();
  const std::vector<float> vector(static_cast<size_t>(settings.model.embed_dim), 1.0F);
  for (const Json& query : {Json{{"moment", 1}}, Json{{"vector", vector}, {"by", "audio"}}}) {
    const Json refused = post_json(client, "/v1/search", query, 503);
    EXPECT_EQ(refused["error"]["code"], "model_changed");
  }
}

}  // namespace
}  // namespace cavmae
