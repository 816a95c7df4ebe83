// A library of a few files that is served at a free port, and its client. Test code only.
#pragma once

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <httplib.h>

#include "cavmae/core/json.h"
#include "cavmae/media/media_reader.h"
#include "cavmae/serve/serve.h"

#include "tests/search/toy_library.h"
#include "tests/support/tools.h"

namespace cavmae {

// Films and sounds whose pictures and pitches differ.
inline void fill_films(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder / "sounds");
  write_video(folder / "film.mp4", 6, "-c:v libx264 -g 20 -c:a aac",
              "aevalsrc='sin(2*PI*t*(200+150*floor(t)))':s=16000");
  write_video(folder / "old.avi", 4, "-vf hue=h=120 -c:v mpeg4 -c:a pcm_s16le", "sine=f=900:r=16000");
  write_video(folder / "sounds/bird.wv", 3, "-vn -c:a wavpack",
              "aevalsrc='sin(2*PI*t*3000)*sin(8*t)':s=16000");
  write_wav(folder / "sounds/hum.wav", 3, 120);
  write_flat_png(folder / "grey.png", 90);
}

inline std::filesystem::path decoder_program() {
  return std::filesystem::path(CAVMAE_PROGRAM).parent_path() / "libexec/cavmae/cavmae-decode";
}

// Serves while it lives.
class RunningServer {
 public:
  explicit RunningServer(const ToyLibrary& library, ServeOptions options = {},
                         const std::shared_ptr<Log>& log = null_log()) {
    options.port = 0;
    options.decoder = decoder_program();
    served_ = std::make_unique<ServedLibrary>(library.name(), library.model(), options, log);
    thread_ = std::thread([this] { served_->run(); });
  }
  ~RunningServer() { stop(); }
  void stop() {
    if (!thread_.joinable()) return;
    served_->stop();
    thread_.join();
  }
  int port() const { return served_->port(); }
  // With a limit on every wait.
  httplib::Client client() const {
    httplib::Client client("127.0.0.1", port());
    client.set_connection_timeout(20);
    client.set_read_timeout(120);
    client.set_write_timeout(20);
    return client;
  }

 private:
  std::unique_ptr<ServedLibrary> served_;
  std::thread thread_;
};

inline httplib::MultipartFormDataItems form_of(
    const std::filesystem::path& file, const std::vector<std::pair<std::string, std::string>>& fields = {}) {
  httplib::MultipartFormDataItems items;
  for (const auto& [name, value] : fields) items.push_back({name, value, "", ""});
  items.push_back(
      {"file", testing_support::read_whole(file), file.filename().string(), "application/octet-stream"});
  return items;
}

inline Json json_of(const httplib::Result& result) {
  EXPECT_TRUE(result) << httplib::to_string(result.error());
  return result ? Json::parse(result->body, nullptr, /*allow_exceptions=*/false) : Json();
}

inline Json post_json(httplib::Client& client, const std::string& path, const Json& value, int status = 200) {
  const auto result = client.Post(path, value.dump(), "application/json");
  EXPECT_TRUE(result && result->status == status)
      << path << ": " << (result ? result->status : -1) << " " << (result ? result->body : "");
  return json_of(result);
}

// One library and server for the tests of a suite.
class ServedToy : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!testing_support::have_ffmpeg()) return;
    folder_ = new TemporaryFolder();
    toy_ = new ToyLibrary(folder_->path());
    fill_films(toy_->films());
    toy_->index();
    server_ = new RunningServer(*toy_);
  }
  static void TearDownTestSuite() {
    delete server_;
    delete toy_;
    delete folder_;
    server_ = nullptr;
    toy_ = nullptr;
    folder_ = nullptr;
  }
  void SetUp() override { CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_ffmpeg(), "ffmpeg"); }

  static std::filesystem::path film(const std::string& name) { return toy_->films() / name; }
  // The best moment of a file, found by its own sound or picture.
  static Json best_of(const std::string& name, const std::string& side) {
    auto client = server_->client();
    const auto result =
        client.Post("/v1/search", form_of(film(name), {{"by", side}, {"for", side}, {"at", "0"}}));
    const Json json = json_of(result);
    if (!json.contains("results")) {
      ADD_FAILURE() << json.dump();
      return Json();
    }
    for (const Json& file : json["results"])
      if (file["name"] == film(name).filename().string()) return file;
    ADD_FAILURE() << name << " was not found";
    return Json();
  }
  static std::string moment_path(const std::string& name, const std::string& side, const std::string& what) {
    return "/v1/moments/" + std::to_string(best_of(name, side)["moments"][0]["moment"].get<int64_t>()) + what;
  }

  static TemporaryFolder* folder_;
  static ToyLibrary* toy_;
  static RunningServer* server_;
};
inline TemporaryFolder* ServedToy::folder_ = nullptr;
inline ToyLibrary* ServedToy::toy_ = nullptr;
inline RunningServer* ServedToy::server_ = nullptr;

}  // namespace cavmae
