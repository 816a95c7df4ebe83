#include "cavmae/storage/remote_client.h"

#include <algorithm>
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include "cavmae/core/files.h"
#include "cavmae/core/time_limit.h"

#include "tests/support/background.h"
#include "tests/support/servers.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::Certificate;
using testing_support::Environment;
using testing_support::FaultyServer;
using testing_support::Nginx;
using testing_support::object_store_keys;
using testing_support::ObjectStore;

class RemoteClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string bytes;
    for (int i = 0; i < 100'000; ++i) bytes += static_cast<char>((i * 7919) >> 3);
    bytes_ = bytes;
    fs::create_directories(folder_ / "files/secret");
    for (const char* name : {"a.tar", "a b=c+d ü.tar", "secret/a.tar"}) write_file(file(name), bytes);
  }
  fs::path file(const std::string& name) const { return folder_ / "files" / name; }
  fs::path root() const { return folder_ / "files"; }
  // Asks again soon.
  RemoteOptions quick(double patience = 60) const {
    return {.patience_seconds = patience, .first_wait_seconds = 0.05, .stalled_seconds = 1};
  }
  std::shared_ptr<Log> log() {
    return std::make_shared<Log>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(lines_));
  }
  static std::string refusal(const std::function<void()>& f, long status) {
    try {
      f();
    } catch (const StorageError& error) {
      EXPECT_EQ(error.status(), status) << error.what();
      return error.what();
    }
    return "nothing was thrown";
  }

  TemporaryFolder folder_;
  std::string bytes_;
  std::ostringstream lines_;
};

class WebServer : public RemoteClientTest {
 protected:
  void SetUp() override {
    CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_nginx(), "nginx");
    RemoteClientTest::SetUp();
    server_ = std::make_unique<Nginx>(root());
  }
  std::unique_ptr<Nginx> server_;
};

TEST_F(WebServer, GivesRanges) {
  const RemoteClient client(quick(), log());
  const RemoteFacts facts = client.facts(server_->url("a.tar"));
  EXPECT_EQ(facts.size, 100'000);
  EXPECT_FALSE(facts.etag.empty());
  const auto read = [&](int64_t offset, int64_t count) {
    return client.read(server_->url("a.tar"), offset, count, &facts);
  };
  EXPECT_EQ(read(0, 10), bytes_.substr(0, 10));
  EXPECT_EQ(read(12'345, 50'000), bytes_.substr(12'345, 50'000));
  EXPECT_EQ(read(99'990, 1000), bytes_.substr(99'990));
  EXPECT_EQ(read(0, 100'000), bytes_);
  EXPECT_EQ(read(100'000, 10), "");
  EXPECT_EQ(read(5, 0), "");
  EXPECT_EQ(client.read(server_->url("a b=c+d ü.tar"), 3, 4), bytes_.substr(3, 4));
  EXPECT_EQ(client.read(server_->url("moved/a.tar"), 3, 4), bytes_.substr(3, 4)) << "a redirect is followed";
  EXPECT_EQ(client.read_all(server_->url("a.tar"), 100'000), bytes_);
  EXPECT_THROW(client.read_all(server_->url("a.tar"), 99'999), StorageError);
}

TEST_F(WebServer, IsAskedOverOneConnectionAThread) {
  {
    const RemoteClient client({.stalled_seconds = 100}, log());  // asks nothing twice
    std::vector<std::jthread> threads;
    for (int t = 0; t < 3; ++t)
      threads.emplace_back([&, t] {
        for (int i = 0; i < 20; ++i)
          EXPECT_EQ(client.read(server_->url("a.tar"), 100 * t + i, 1000), bytes_.substr(100 * t + i, 1000));
      });
    for (std::jthread& thread : threads) thread.join();
  }
  // The server writes a line when the answer has gone out already.
  const auto num_lines = [&] {
    const std::string text = server_->log();
    return std::ranges::count(text, '\n');
  };
  EXPECT_TRUE(testing_support::wait_until([&] { return num_lines() >= 60; }, 60, "the server's log"));
  EXPECT_EQ(num_lines(), 60);
  std::istringstream log(server_->log());
  std::set<std::string> connections;
  for (std::string line; std::getline(log, line);) connections.insert(line.substr(0, line.find(' ')));
  EXPECT_LE(connections.size(), 4u) << "and one that asked whether the server is there";
}

TEST_F(WebServer, SaysWhatItRefusesAtOnce) {
  const RemoteClient client({.stalled_seconds = 100}, log());
  EXPECT_THAT(refusal([&] { client.facts(server_->url("no.tar")); }, 404),
              AllOf(HasSubstr("no.tar"), HasSubstr("no such file")));
  EXPECT_THAT(refusal([&] { client.read(server_->url("secret/a.tar"), 0, 10); }, 403),
              HasSubstr("may not be read"));
  EXPECT_EQ(lines_.str(), "") << "a server that is asked again is named there";
  EXPECT_THAT(refusal([&] { client.read(server_->url("whole/a.tar"), 10, 10); }, 200),
              AllOf(HasSubstr("ignores ranges"), HasSubstr("--shard-cache")));
  EXPECT_THAT(message_from<Error>([&] { client.list(server_->url()); }), HasSubstr("only object stores"));
}

TEST_F(WebServer, IsWaitedForWhenItIsOverloaded) {
  const RemoteClient client(quick(2), log());
  EXPECT_THAT(refusal([&] { client.read(server_->url("broken/a.tar"), 0, 10); }, 503),
              AllOf(HasSubstr("overloaded"), HasSubstr("in vain")));
  EXPECT_THAT(lines_.str(), HasSubstr("asking again"));
}

TEST_F(WebServer, ThatGoesAwayCostsAWaitAndALogLine) {
  const RemoteClient client(quick(), log());
  EXPECT_EQ(client.read(server_->url("a.tar"), 0, 10), bytes_.substr(0, 10));
  server_->stop();
  std::jthread back([&] {
    std::this_thread::sleep_for(std::chrono::seconds(3));
    server_->start();
  });
  const TimeLimit limit(2);  // of a clip, which is not to blame
  EXPECT_EQ(client.read(server_->url("a.tar"), 10, 10), bytes_.substr(10, 10));
  EXPECT_NO_THROW(limit.check_kept());
  EXPECT_FALSE(TimeLimit::has_run_out("a"));
  back.join();
  EXPECT_THAT(lines_.str(), AllOf(HasSubstr("asking again"), HasSubstr("is there again")));
  server_->stop();
  const RemoteClient impatient(quick(0.3), log());
  EXPECT_THAT(refusal([&] { impatient.read(server_->url("a.tar"), 0, 10); }, 0), HasSubstr("in vain"));
}

TEST_F(WebServer, IsCopiedFrom) {
  const RemoteClient client(quick(), log());
  for (const char* name : {"a.tar", "whole/a.tar"}) {
    const std::string url = server_->url(name);
    client.download(url, client.facts(url), folder_ / "copy");
    EXPECT_EQ(read_text(folder_ / "copy"), bytes_);
    fs::remove(folder_ / "copy");
  }
}

class HttpsServer : public RemoteClientTest {
 protected:
  void SetUp() override {
    CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_nginx(), "nginx");
    CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_openssl(), "openssl");
    RemoteClientTest::SetUp();
    certificate_ = std::make_unique<Certificate>();
    server_ = std::make_unique<Nginx>(root(), certificate_.get());
  }
  std::string url() const { return server_->url("a.tar"); }
  const Environment system_{{"CURL_CA_BUNDLE", ""}, {"SSL_CERT_FILE", ""}, {"SSL_CERT_DIR", ""}};
  std::unique_ptr<Certificate> certificate_;
  std::unique_ptr<Nginx> server_;
};

TEST_F(HttpsServer, WhoseAuthorityIsNamedGivesRanges) {
  for (const char* variable : {"CURL_CA_BUNDLE", "SSL_CERT_FILE"}) {
    const Environment trust{{variable, certificate_->authority().string()}};
    const RemoteClient client(quick(), log());
    const RemoteFacts facts = client.facts(url());
    EXPECT_EQ(facts.size, 100'000) << variable;
    EXPECT_EQ(client.read(url(), 12'345, 50'000, &facts), bytes_.substr(12'345, 50'000)) << variable;
    client.download(url(), facts, folder_ / "copy");
    EXPECT_EQ(read_text(folder_ / "copy"), bytes_) << variable;
  }
}

TEST_F(HttpsServer, ThatNobodyVouchesForIsRefusedAtOnce) {
  const RemoteClient client(quick(60), log());
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(refusal([&] { client.facts(url()); }, 0),
              AllOf(HasSubstr(url()), HasSubstr("certificate is not trusted"), HasSubstr("CURL_CA_BUNDLE=")));
  const Certificate of_another;
  const Environment trust{{"CURL_CA_BUNDLE", of_another.authority().string()}};
  EXPECT_THAT(refusal([&] { client.read(url(), 0, 10); }, 0), HasSubstr("certificate is not trusted"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(50)) << "it is not asked again";
  const Environment missing{{"CURL_CA_BUNDLE", (folder_ / "no.pem").string()}};
  EXPECT_THAT(refusal([&] { client.read(url(), 0, 10); }, 0),
              AllOf(HasSubstr("CURL_CA_BUNDLE"), HasSubstr("no.pem")));
}

TEST_F(HttpsServer, OfAnotherNameIsRefused) {
  const Environment trust{{"CURL_CA_BUNDLE", certificate_->authority().string()}};
  const RemoteClient client(quick(), log());
  const std::string by_name = concat("https://localhost:", server_->port(), "/a.tar");
  EXPECT_THAT(refusal([&] { client.facts(by_name); }, 0),
              AllOf(HasSubstr(by_name), HasSubstr("certificate is not trusted"), HasSubstr("localhost")));
}

class FaultyWebServer : public RemoteClientTest {
 protected:
  void SetUp() override {
    CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_python(), "python3");
    RemoteClientTest::SetUp();
    server_ = std::make_unique<FaultyServer>(root());
  }
  std::unique_ptr<FaultyServer> server_;
};

TEST_F(FaultyWebServer, IsAskedAgain) {
  const RemoteClient client(quick(), log());
  for (const char* kind : {"cut-2", "drop-2", "busy-2", "stall-1"}) {
    const std::string url = server_->url(std::string(kind) + "/a.tar");
    EXPECT_EQ(client.read(url, 1000, 50'000), bytes_.substr(1000, 50'000)) << kind;
    EXPECT_THAT(lines_.str(), HasSubstr(kind)) << "the log names what it waits for";
  }
  const std::string url = server_->url("cut-3/a b=c+d ü.tar");
  client.download(url, client.facts(url), folder_ / "copy");
  EXPECT_EQ(read_text(folder_ / "copy"), bytes_);
}

TEST_F(FaultyWebServer, ThatSendsLessIsFoundOut) {
  const RemoteClient client(quick(), log());
  EXPECT_THAT(message_from<StorageError>([&] { client.read(server_->url("short/a.tar"), 0, 1000); }),
              HasSubstr("sends less"));
}

TEST_F(FaultyWebServer, WhoseFileBecomesAnotherIsFoundOut) {
  const RemoteClient client(quick(), log());
  const std::string url = server_->url("changing/a.tar");
  const RemoteFacts facts = client.facts(url);
  EXPECT_THAT(message_from<StorageError>([&] { client.read(url, 0, 10, &facts); }),
              HasSubstr("has become another file"));
  EXPECT_THROW(client.download(url, facts, folder_ / "copy"), StorageError);
  EXPECT_FALSE(fs::exists(folder_ / "copy"));
}

TEST_F(FaultyWebServer, MayRefuseToSpeakOfAFileItGives) {
  const RemoteClient client(quick(), log());
  EXPECT_EQ(client.facts(server_->url("headless/a.tar")).size, 100'000);
}

TEST_F(FaultyWebServer, ListsInPages) {
  const RemoteClient client(quick(), log());
  const Environment keys = object_store_keys(*server_);
  write_file(file("z&.tar"), "z");
  EXPECT_THAT(client.list("s3://pages/"), ElementsAre("s3://pages/a b=c+d ü.tar", "s3://pages/a.tar",
                                                      "s3://pages/secret", "s3://pages/z&.tar"));
}

TEST_F(FaultyWebServer, ThatKnowsTheBucketsRegionIsQuoted) {
  const RemoteClient client(quick(), log());
  const Environment keys = object_store_keys(*server_);
  const auto says = AllOf(HasSubstr("another region"), HasSubstr("set AWS_REGION=eu-north-1"));
  EXPECT_THAT(refusal([&] { client.facts("s3://elsewhere/a.tar"); }, 301), says);
  EXPECT_THAT(refusal([&] { client.read("s3://elsewhere/a.tar", 0, 10); }, 301), says);
  EXPECT_THAT(refusal([&] { client.list("s3://elsewhere/"); }, 301), says);
  EXPECT_EQ(lines_.str(), "") << "asking again would not help";
}

class ObjectStoreTest : public RemoteClientTest {
 protected:
  void SetUp() override {
    CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_object_store(),
                                "s3rver (npm ci in tests/storage/s3rver)");
    CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_python(), "python3");
    RemoteClientTest::SetUp();
    store_ = std::make_unique<ObjectStore>();
  }
  std::unique_ptr<ObjectStore> store_;
};

TEST_F(ObjectStoreTest, GivesRangesOfKeysThatNeedCare) {
  const Environment keys = object_store_keys(*store_);
  const RemoteClient client(quick(), log());
  for (const std::string name : {"x.tar", "set=1/a+b c.tar", "ü/a~b.tar"}) {
    store_->put(name, file("a.tar"));
    const std::string url = "s3://clips/" + name;
    const RemoteFacts facts = client.facts(url);
    EXPECT_EQ(facts.size, 100'000) << name;
    EXPECT_EQ(client.read(url, 99'000, 5000, &facts), bytes_.substr(99'000)) << name;
    EXPECT_EQ(client.read(url, 0, 100, &facts), bytes_.substr(0, 100)) << name;
  }
  EXPECT_THAT(client.list("s3://clips/"),
              ElementsAre("s3://clips/set=1/a+b c.tar", "s3://clips/x.tar", "s3://clips/ü/a~b.tar"));
  EXPECT_THAT(client.list("s3://clips/set=1/a+b"), ElementsAre("s3://clips/set=1/a+b c.tar"));
  client.download("s3://clips/x.tar", client.facts("s3://clips/x.tar"), folder_ / "copy");
  EXPECT_EQ(read_text(folder_ / "copy"), bytes_);
}

TEST_F(ObjectStoreTest, KnowsAWrongSecret) {
  store_->put("x.tar", file("a.tar"));
  const RemoteClient client(quick(), log());
  {
    const Environment keys = object_store_keys(*store_, "wrong");
    EXPECT_THAT(refusal([&] { client.read("s3://clips/x.tar", 0, 10); }, 403),
                AllOf(HasSubstr("AWS_SECRET_ACCESS_KEY"), HasSubstr("SignatureDoesNotMatch")));
  }
  const Environment keys = object_store_keys(*store_);
  EXPECT_EQ(client.read("s3://clips/x.tar", 0, 10), bytes_.substr(0, 10));
  EXPECT_THAT(refusal([&] { client.facts("s3://clips/no.tar"); }, 404), HasSubstr("no such file"));
  const Environment token{{"AWS_SESSION_TOKEN", "token"}};
  EXPECT_EQ(client.read("s3://clips/x.tar", 0, 10), bytes_.substr(0, 10)) << "the token is signed too";
}

}  // namespace
}  // namespace cavmae
