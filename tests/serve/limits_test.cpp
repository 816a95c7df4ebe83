// What is bounded: queries that wait, bytes that are sent, pixels, what is kept; and what a server tells of
// itself.
#include <atomic>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include <gmock/gmock.h>

#include "cavmae/serve/batching.h"
#include "cavmae/serve/decode_pool.h"
#include "cavmae/serve/http.h"
#include "cavmae/serve/render_cache.h"

#include "tests/serve/toy_server.h"
#include "tests/support/background.h"

namespace cavmae {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing_support::wait_until;

class Limits : public ServedToy {
 protected:
  static Sample silence() {
    const InputSpec& spec = toy_->model().spec;
    return {.audio = torch::zeros({spec.num_fbank_frames, spec.num_mel_bins}), .video = {}};
  }
};

// One query fills the queue, and would have to wait for an hour for a second.
TEST_F(Limits, AQueryThatFindsTheQueueFullIsRefusedAtOnce) {
  auto batching = std::make_unique<Batching>(
      toy_->model().network(), BatchingOptions{.max_batch = 2, .deadline_ms = 3.6e6, .max_waiting = 1});
  ClipVectors vectors;
  std::thread first([&] { vectors = batching->embed(silence()); });
  ASSERT_TRUE(wait_until([&] { return batching->counts().waiting == 1; }, 60, "the first query"));
  for (const int64_t refused : {1, 2}) {
    try {
      batching->embed(silence());
      ADD_FAILURE() << "it was not refused";
      break;  // the next would wait for the hour
    } catch (const HttpError& e) {
      EXPECT_EQ(e.status(), 503);
      EXPECT_EQ(e.code(), "busy");
      const HttpAnswer answer = error_answer(e);
      EXPECT_THAT(answer.headers, testing::Contains(testing::Pair("Retry-After", "1")));
    }
    EXPECT_EQ(batching->counts().refused, refused);
  }
  EXPECT_EQ(batching->counts().batches, 0);
  batching.reset();  // which finishes what waits
  first.join();
  EXPECT_TRUE(vectors.audio.defined());
}

TEST_F(Limits, QueriesThatWaitTogetherAreOnePass) {
  Batching batching(toy_->model().network(), {.max_batch = 2, .deadline_ms = 3.6e6, .max_waiting = 8});
  std::thread first([&] { batching.embed(silence()); }), second([&] { batching.embed(silence()); });
  first.join();
  second.join();
  EXPECT_EQ(batching.counts().queries, 2);
  EXPECT_EQ(batching.counts().batches, 1);
}

// A length that nobody announced is counted as it comes.
TEST_F(Limits, AnUploadWithoutALengthIsBoundedToo) {
  RunningServer small(*toy_, {.max_upload_mb = 1});
  const auto post = [&](int64_t pieces) {
    auto client = small.client();
    const std::string head =
        "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n"
        "Content-Type: application/octet-stream\r\n\r\n";
    int64_t sent = -1;
    return client.Post(
        "/v1/embed", httplib::Headers(),
        [&, sent](size_t, httplib::DataSink& sink) mutable {
          const std::string piece(100'000, 'x');
          if (++sent == 0)
            sink.write(head.data(), head.size());
          else if (sent <= pieces)
            sink.write(piece.data(), piece.size());
          else {
            const std::string end = "\r\n--xyz--\r\n";
            sink.write(end.data(), end.size());
            sink.done();
          }
          return true;
        },
        "multipart/form-data; boundary=xyz");
  };
  const auto large = post(11);
  ASSERT_TRUE(large) << httplib::to_string(large.error());
  EXPECT_EQ(large->status, 413) << large->body;
  EXPECT_EQ(Json::parse(large->body)["error"]["code"], "too_large");
  const auto fits = post(9);  // of which the decoder says that it is no sound
  ASSERT_TRUE(fits) << httplib::to_string(fits.error());
  EXPECT_EQ(fits->status, 415) << fits->body;
}

TEST_F(Limits, APictureOfTooManyPixelsIsRefused) {
  RunningServer small(*toy_, {.max_megapixels = 1});
  auto client = small.client();
  write_flat_png(folder_->path() / "large.png", 90, 1200);
  write_flat_png(folder_->path() / "small.png", 90, 800);
  const auto large = client.Post("/v1/embed", form_of(folder_->path() / "large.png"));
  ASSERT_TRUE(large);
  EXPECT_EQ(large->status, 415) << large->body;
  EXPECT_THAT(large->body, HasSubstr("1200x1200"));
  const auto fits = client.Post("/v1/embed", form_of(folder_->path() / "small.png"));
  ASSERT_TRUE(fits);
  EXPECT_EQ(fits->status, 200) << fits->body;
}

// What was made for a key, and how often.
class RenderCacheTest : public testing::Test {
 protected:
  Rendering get(const std::string& key, size_t bytes = 4) {
    return cache_.get(key, [&] {
      ++made_[key];
      return Rendering{.bytes = std::make_shared<const std::string>(bytes, key[0]), .content_type = "text"};
    });
  }
  RenderCache cache_{10};
  std::map<std::string, int> made_;
};

TEST_F(RenderCacheTest, WhatWasAskedForLongestAgoGoesWhenItIsFull) {
  get("a");
  get("b");
  EXPECT_EQ(*get("a").bytes, "aaaa");  // b is the older one now
  EXPECT_EQ(cache_.bytes(), 8);
  get("c");
  EXPECT_EQ(cache_.bytes(), 8);
  get("a");
  get("c");
  EXPECT_EQ(made_["a"], 1);
  EXPECT_EQ(made_["c"], 1);
  EXPECT_EQ(*get("b").bytes, "bbbb");
  EXPECT_EQ(made_["b"], 2);
  EXPECT_EQ(cache_.hits(), 3);
  EXPECT_EQ(cache_.misses(), 4);
  get("b");
  get("c");
  EXPECT_EQ(made_["c"], 1);
  get("a");
  EXPECT_EQ(made_["a"], 2) << "a was the oldest when b came back";
}

TEST_F(RenderCacheTest, WhatIsLargerThanAllOfItDrivesNothingOut) {
  get("a");
  EXPECT_EQ(get("large", 11).bytes->size(), 11u);
  EXPECT_EQ(cache_.bytes(), 4);
  get("a");
  get("large", 11);
  EXPECT_EQ(made_["a"], 1);
  EXPECT_EQ(made_["large"], 2);
  get("whole", 10);  // which takes all the room
  EXPECT_EQ(cache_.bytes(), 10);
  get("a");
  EXPECT_EQ(made_["a"], 2);
}

TEST_F(Limits, TheServerKeepsNoMoreThanItMay) {
  RunningServer nothing(*toy_, {.cache_mb = 0});
  auto client = nothing.client();
  const std::string path = moment_path("film.mp4", "video", "/thumbnail");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(client.Get(path)->status, 200);
  const std::string metrics = client.Get("/metrics")->body;
  EXPECT_THAT(metrics, HasSubstr("\ncavmae_cache_bytes 0\n"));
  EXPECT_THAT(metrics, HasSubstr("\ncavmae_cache_misses_total 2\n"));
}

TEST_F(Limits, DecodersAreLimitedByTheSystem) {
  const DecodePool pool({.program = decoder_program()}, null_log());
  for (const int process : pool.processes()) {
    const std::string limits = read_text(concat("/proc/", process, "/limits"));
    std::vector<std::pair<std::string, std::string>> expected = {
        {"Max core file size", "0"}, {"Max file size", "0"}, {"Max open files", "32"}};
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // whose shadow takes more addresses
    expected.emplace_back("Max address space", "8589934592");
#endif
    // Of each the soft and the hard one.
    for (const auto& [name, value] : expected)
      EXPECT_TRUE(
          std::regex_search(limits, std::regex(concat("(^|\n)", name, " +", value, " +", value, " +"))))
          << name << "\n"
          << limits;
  }
}

// The text format 0.0.4, line by line.
TEST_F(Limits, MetricsAreWhatPrometheusReads) {
  auto client = server_->client();
  client.Get("/v1/nothing");
  best_of("film.mp4", "audio");
  const auto answer = client.Get("/metrics");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->get_header_value("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  ASSERT_FALSE(answer->body.empty());
  EXPECT_EQ(answer->body.back(), '\n');
  const std::regex help("# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) [^\\n]+"),
      type("# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)"),
      sample(
          "([a-zA-Z_:][a-zA-Z0-9_:]*)(\\{([a-zA-Z_][a-zA-Z0-9_]*=\"([^\"\\\\\\n]|\\\\[\\\\n\"])*\"(,|(?=\\})))*\\})? "
          "([-+]?[0-9]+(\\.[0-9]+)?([eE][-+]?[0-9]+)?|[-+]Inf|NaN)");
  std::map<std::string, std::string> types;
  std::set<std::string> helped, series;
  std::map<std::string, double> last_bucket, counts, infinite;
  std::string family;
  std::istringstream lines(answer->body);
  for (std::string line; std::getline(lines, line);) {
    std::smatch found;
    if (std::regex_match(line, found, help)) {
      EXPECT_TRUE(helped.insert(found[1]).second) << line;
      continue;
    }
    if (std::regex_match(line, found, type)) {
      EXPECT_TRUE(types.emplace(found[1], found[2]).second) << line;
      EXPECT_TRUE(helped.contains(found[1])) << line;
      family = found[1];
      continue;
    }
    ASSERT_TRUE(std::regex_match(line, found, sample)) << line;
    const std::string name = found[1], labels = found[2];
    const double value = std::stod(found[6]);
    EXPECT_TRUE(series.insert(name + labels).second) << "twice: " << line;
    // The lines of one metric stand together, below its type.
    if (types[family] != "histogram") {
      EXPECT_EQ(name, family) << line;
      EXPECT_EQ(types[family] == "counter", name.ends_with("_total")) << line;
      EXPECT_GE(value, 0) << line;
      continue;
    }
    if (name == family + "_bucket") {
      const size_t at = labels.find(",le=\"");
      ASSERT_NE(at, std::string::npos) << line;
      const std::string of = labels.substr(0, at) + "}";
      EXPECT_GE(value, last_bucket[of]) << line;
      last_bucket[of] = value;
      if (labels.find("le=\"+Inf\"") != std::string::npos) infinite[of] = value;
    } else if (name == family + "_count") {
      counts[labels] = value;
    } else {
      EXPECT_EQ(name, family + "_sum") << line;
    }
  }
  EXPECT_EQ(counts, infinite);
  EXPECT_GE(counts.size(), 2u);
  EXPECT_EQ(helped.size(), types.size());
}

}  // namespace
}  // namespace cavmae
