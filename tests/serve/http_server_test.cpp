// Connections: bounded in number, time and bytes.
#include "cavmae/serve/http_server.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>
#include <httplib.h>

#include "tests/serve/raw_client.h"
#include "tests/support/background.h"

namespace cavmae {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Answers with what it was asked; "/wait" when it is let go.
class EchoHandler : public HttpHandler {
 public:
  HttpAnswer answer(const HttpRequest& request, HttpBody& body) override {
    HttpAnswer out;
    out.body = request.method + " " + request.path + " " + request.query("q");
    if (request.path == "/read") {
      size_t size = 0;
      body.read([&](const char*, size_t n) {
        size += n;
        return size <= 1000;
      });
      out.body = std::to_string(size);
    }
    if (request.path == "/wait") {
      ++waiting;
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, std::chrono::seconds(60), [&] { return let_go_; });
    }
    return out;
  }
  HttpAnswer refuse(const HttpError& error) override {
    HttpAnswer out = error_answer(error);
    out.headers.emplace_back("Of-Handler", "yes");
    return out;
  }
  void let_go() {
    {
      const std::lock_guard lock(mutex_);
      let_go_ = true;
    }
    changed_.notify_all();
  }
  std::atomic<int> waiting = 0;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool let_go_ = false;
};

class HttpServerTest : public testing::Test {
 protected:
  void start(HttpServerOptions options = {}) {
    options.port = 0;
    server_ = std::make_unique<HttpServer>(options, handler_);
    thread_ = std::thread([this] { server_->run(); });
    {
      httplib::Client client("127.0.0.1", port());
      ASSERT_TRUE(testing_support::wait_until([&] { return bool(client.Get("/")); }, 20, "the server"));
    }
    ASSERT_TRUE(
        testing_support::wait_until([&] { return server_->connections() == 0; }, 20, "the first one to go"));
  }
  void TearDown() override {
    handler_.let_go();
    if (server_) server_->stop();
    if (thread_.joinable()) thread_.join();
  }
  int port() const { return server_->port(); }

  EchoHandler handler_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

constexpr const char* kGet = "GET /a?q=%41 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

TEST_F(HttpServerTest, AnswersAndKeepsConnections) {
  start();
  RawClient client(port());
  client.send(
      "GET /one HTTP/1.1\r\nHost: localhost\r\n\r\nGET /two?q=%41 HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const std::string text = client.receive(5);
  EXPECT_THAT(text, HasSubstr("GET /one "));
  EXPECT_THAT(text, HasSubstr("GET /two A"));
  EXPECT_TRUE(client.closed());  // idle for a second
}

TEST_F(HttpServerTest, MoreConnectionsThanAllowedAreRefusedAtOnce) {
  start({.max_connections = 4});
  std::vector<std::thread> waiting;
  for (int i = 0; i < 4; ++i)
    waiting.emplace_back([&] {
      httplib::Client client("127.0.0.1", port());
      client.set_read_timeout(60);
      EXPECT_TRUE(client.Get("/wait"));
    });
  EXPECT_TRUE(testing_support::wait_until([&] { return handler_.waiting == 4; }, 20, "four requests"));
  RawClient client(port());
  client.send(kGet);
  const std::string text = client.receive();
  EXPECT_THAT(text, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(text, HasSubstr("Retry-After: 1"));
  EXPECT_THAT(text, HasSubstr("\"code\":\"busy\""));
  EXPECT_TRUE(client.closed());
  EXPECT_EQ(server_->refused_connections(), 1);
  handler_.let_go();
  for (std::thread& one : waiting) one.join();
  httplib::Client later("127.0.0.1", port());
  EXPECT_TRUE(testing_support::wait_until(
      [&] {
        const auto result = later.Get("/");
        return result && result->status == 200;
      },
      10, "a free connection"));
}

TEST_F(HttpServerTest, TheHandlerSaysHowARefusalLooks) {
  start();
  RawClient client(port());
  client.send("NONSENSE\r\n\r\n");
  const std::string text = client.receive(5);
  EXPECT_THAT(text, StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(text, HasSubstr("Of-Handler: yes"));
}

TEST_F(HttpServerTest, ManyConnectionsAtOnceWaitToBeTaken) {
  start({.max_connections = 128});
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 100; ++i) clients.push_back(std::make_unique<RawClient>(port()));
  for (const auto& client : clients) client->send(kGet);
  int answered = 0;
  for (const auto& client : clients) answered += client->receive().find("GET /a A") != std::string::npos;
  EXPECT_EQ(answered, 100);
}

TEST_F(HttpServerTest, SlowAndEndlessHeadsEnd) {
  start({.head_seconds = 1, .max_head_bytes = 20000});
  RawClient slow(port()), endless(port()), nonsense(port());
  slow.send("GET / HTTP/1.1\r\nHost: loc");
  EXPECT_EQ(slow.receive(8).find("200 OK"), std::string::npos);
  EXPECT_TRUE(slow.closed());
  endless.send("GET / HTTP/1.1\r\n");
  for (int i = 0; i < 40; ++i)
    endless.send("X-" + std::to_string(i) + ": " + std::string(1000, 'x') + "\r\n");
  EXPECT_EQ(endless.receive(8).find("200 OK"), std::string::npos);
  EXPECT_TRUE(endless.closed());
  nonsense.send("what is this\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string text = nonsense.receive(8);
  EXPECT_THAT(text, StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(text, HasSubstr("\"cure\""));
  EXPECT_EQ(text.find("200 OK"), std::string::npos);  // what follows is no request
  RawClient good(port());
  good.send(kGet);
  EXPECT_THAT(good.receive(), HasSubstr("GET /a A"));
}

TEST_F(HttpServerTest, ABodyThatIsNotReadIsNoRequest) {
  start();
  const std::string hidden = "GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n";
  for (const std::string path : {"/unread", "/read"}) {
    RawClient client(port());
    const std::string body = (path == "/read" ? std::string(5000, 'x') : "") + hidden;
    client.send("POST " + path +
                " HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n\r\n" + body);
    const std::string text = client.receive(8);
    EXPECT_THAT(text, StartsWith("HTTP/1.1 200 ")) << path;
    EXPECT_EQ(text.find("/hidden"), std::string::npos) << path;
    EXPECT_TRUE(client.closed());
  }
}

TEST_F(HttpServerTest, EndsWhenWhatIsAskedIsAnswered) {
  start();
  std::thread waiting([&] {
    httplib::Client client("127.0.0.1", port());
    client.set_read_timeout(60);
    const auto result = client.Get("/wait");
    ASSERT_TRUE(result);
    EXPECT_EQ(result->status, 200);
  });
  EXPECT_TRUE(testing_support::wait_until([&] { return handler_.waiting == 1; }, 20, "a request"));
  server_->stop();
  EXPECT_TRUE(
      testing_support::wait_until([&] { return !RawClient(port()).connected(); }, 20, "no new connections"));
  handler_.let_go();
  waiting.join();
  thread_.join();
}

TEST(HttpServer, NamesAnAddressThatIsTaken) {
  EchoHandler handler;
  HttpServer first({.port = 0}, handler);
  EXPECT_THROW(HttpServer({.host = "203.0.113.7", .port = 0}, handler), ConfigError);
}

}  // namespace
}  // namespace cavmae
