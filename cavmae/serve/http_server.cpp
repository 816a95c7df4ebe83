#include "cavmae/serve/http_server.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include <fcntl.h>
#include <httplib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cavmae/serve/connection_stream.h"

namespace cavmae {
namespace {

// Set on the thread that takes connections while one is dealt with there, which is one too many.
thread_local bool t_refuse = false;
// The connection that this thread serves.
thread_local ConnectionStream* t_stream = nullptr;

std::string refusal_text(HttpHandler& handler) {
  const HttpAnswer answer = handler.refuse(too_busy("too many connections"));
  std::string text =
      concat("HTTP/1.1 503 Service Unavailable\r\nContent-Type: ", answer.content_type, "\r\n");
  for (const auto& [name, value] : answer.headers) text += concat(name, ": ", value, "\r\n");
  return text + concat("Connection: close\r\nContent-Length: ", answer.body.size(), "\r\n\r\n", answer.body);
}

// Threads for connections, begun as they are needed, up to a number that is never passed: what comes then is
// refused on the thread that brings it.
class ConnectionQueue : public httplib::TaskQueue {
 public:
  ConnectionQueue(int64_t most, std::atomic<int64_t>& active, std::atomic<int64_t>& refused)
      : most_(most), active_(active), refused_(refused) {}

  void enqueue(std::function<void()> serve) override {
    std::unique_lock lock(mutex_);
    if (active_ >= most_) {
      lock.unlock();
      ++refused_;
      t_refuse = true;
      serve();
      t_refuse = false;
      return;
    }
    ++active_;
    waiting_.push_back(std::move(serve));
    if (static_cast<int64_t>(threads_.size()) < std::min<int64_t>(most_, active_))
      threads_.emplace_back([this] { work(); });
    lock.unlock();
    changed_.notify_one();
  }

  void shutdown() override {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  void work() {
    while (true) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return ended_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      const auto serve = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      serve();
      --active_;
    }
  }

  int64_t most_;
  std::atomic<int64_t>&active_, &refused_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  std::vector<std::thread> threads_;
  bool ended_ = false;
};

class LibraryServer : public httplib::Server {
 public:
  LibraryServer(const HttpServerOptions& options, HttpHandler& handler, const std::atomic<bool>& stopping)
      : options_(options), handler_(handler), stopping_(stopping) {}

  // The library listens with a backlog of 5; a second call sets another.
  void widen_backlog() { ::listen(svr_sock_, static_cast<int>(options_.backlog)); }

 private:
  bool process_and_close_socket(socket_t socket) override {
    ::fcntl(socket, F_SETFD, FD_CLOEXEC);
    if (t_refuse) {
      const std::string text = refusal_text(handler_);
      ::send(socket, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      ::shutdown(socket, SHUT_WR);
      std::array<char, 16384> rest{};  // unread, it would turn the answer into a reset
      ::recv(socket, rest.data(), rest.size(), MSG_DONTWAIT);
      ::close(socket);
      return false;
    }
    ConnectionStream stream(socket, options_, stopping_);
    t_stream = &stream;
    constexpr int kMostRequests = 1000;
    for (int i = 1; i <= kMostRequests && !stopping_ && stream.wait_for_request(); ++i) {
      bool closed = false, is_understood = false;
      const bool answered =
          process_request(stream, i == kMostRequests, closed, [&](httplib::Request& request) {
            is_understood = true;
            stream.begin_body();
            request.ranges.clear();  // they are answered by answer_range()
          });
      if (!answered || closed || !is_understood || stream.is_poisoned()) break;
    }
    t_stream = nullptr;
    return true;
  }

  const HttpServerOptions& options_;
  HttpHandler& handler_;
  const std::atomic<bool>& stopping_;
};

class ReaderBody : public HttpBody {
 public:
  ReaderBody(const httplib::Request& request, const httplib::ContentReader* reader)
      : request_(request), reader_(reader) {}

  bool was_read() const { return whole_; }
  bool is_multipart() const override { return request_.is_multipart_form_data(); }

  bool read(const Take& take) override {
    if (reader_ == nullptr || is_multipart()) return false;
    // Without a length the library would read until the client closes.
    if (!request_.has_header("Content-Length") && !request_.has_header("Transfer-Encoding"))
      return whole_ = true;
    whole_ = (*reader_)([&](const char* data, size_t size) { return take(data, size); });
    return whole_;
  }
  bool read_parts(const std::function<bool(const HttpPart&)>& begin, const Take& take) override {
    if (reader_ == nullptr || !is_multipart()) return false;
    if (!request_.has_header("Content-Length") && !request_.has_header("Transfer-Encoding")) return false;
    whole_ = (*reader_)(
        [&](const httplib::MultipartFormData& part) {
          return begin({.name = part.name, .filename = part.filename});
        },
        [&](const char* data, size_t size) { return take(data, size); });
    return whole_;
  }

 private:
  const httplib::Request& request_;
  const httplib::ContentReader* reader_;
  bool whole_ = false;
};

// Bytes of what the answer names, as the library asks for them.
httplib::ContentProvider provider_of(const HttpAnswer& answer) {
  return [file = answer.file, text = answer.text, begin = answer.offset, held = answer.held](
             size_t offset, size_t length, httplib::DataSink& sink) {
    if (text != nullptr) return sink.write(text->data() + begin + static_cast<int64_t>(offset), length);
    std::array<char, 65536> buffer{};
    const ssize_t n = ::pread(file->descriptor(), buffer.data(), std::min(length, buffer.size()),
                              static_cast<off_t>(file->begin() + begin) + static_cast<off_t>(offset));
    return n > 0 && sink.write(buffer.data(), static_cast<size_t>(n));
  };
}

void fill(const HttpAnswer& answer, httplib::Response& response) {
  response.status = answer.status;
  for (const auto& [name, value] : answer.headers) response.set_header(name, value);
  if (answer.file == nullptr && answer.text == nullptr) {
    response.set_content(answer.body, answer.content_type);
  } else if (answer.length == 0) {
    response.set_content("", answer.content_type);
  } else {
    response.set_content_provider(static_cast<size_t>(answer.length), answer.content_type,
                                  provider_of(answer));
  }
}

}  // namespace

struct HttpServer::State {
  State(const HttpServerOptions& wanted, HttpHandler& to) : options(wanted), handler(to) {}

  void answer(const httplib::Request& request, httplib::Response& response,
              const httplib::ContentReader* reader) {
    const HttpRequest asked{.method = request.method,
                            .path = request.path,
                            .header = [&](const std::string& name) { return request.get_header_value(name); },
                            .query = [&](const std::string& name) { return request.get_param_value(name); },
                            .remote_address = request.remote_addr};
    ReaderBody body(request, reader);
    fill(handler.answer(asked, body), response);
    const bool may_have_body =
        reader != nullptr || request.has_header("Content-Length") || request.has_header("Transfer-Encoding");
    const bool is_read =
        body.was_read() || (reader == nullptr && request.get_header_value("Content-Length") == "0");
    if ((may_have_body && !is_read) || stopping) {
      if (may_have_body && !is_read) t_stream->poison();
      response.set_header("Connection", "close");
    }
  }

  HttpServerOptions options;
  HttpHandler& handler;
  std::atomic<bool> stopping = false;
  std::atomic<int64_t> active = 0, refused = 0;
  LibraryServer server{options, handler, stopping};
  int port = 0;
};

HttpServer::HttpServer(const HttpServerOptions& options, HttpHandler& handler)
    : state_(std::make_unique<State>(options, handler)) {
  State& s = *state_;
  s.server.new_task_queue = [&s] {
    return new ConnectionQueue(s.options.max_connections, s.active, s.refused);
  };
  // All but bodies is answered here, before the library looks for a route or reads anything.
  s.server.set_pre_routing_handler([&s](const httplib::Request& request, httplib::Response& response) {
    constexpr size_t kLongestPath = 512;  // a regular expression looks at it
    if (request.method == "POST" && request.path.size() < kLongestPath)
      return httplib::Server::HandlerResponse::Unhandled;
    s.answer(request, response, nullptr);
    return httplib::Server::HandlerResponse::Handled;
  });
  s.server.Post(R"([\s\S]*)",
                [&s](const httplib::Request& request, httplib::Response& response,
                     const httplib::ContentReader& reader) { s.answer(request, response, &reader); });
  // What the library refuses by itself.
  s.server.set_error_handler([&s](const httplib::Request&, httplib::Response& response) {
    if (!response.body.empty()) return;
    fill(s.handler.refuse(HttpError(response.status, "bad_request", "the request cannot be understood",
                                    "send HTTP/1.1 with a path and headers of at most 8 KiB each")),
         response);
  });
  s.server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    ::fcntl(socket, F_SETFD, FD_CLOEXEC);
  });
  s.port = options.port == 0 ? s.server.bind_to_any_port(options.host)
                             : (s.server.bind_to_port(options.host, options.port) ? options.port : -1);
  CAVMAE_CHECK_AS(
      ConfigError, s.port > 0, "cannot listen at ", options.host, ":", options.port,
      "; another program may: take another --port (0: any), or an address of this machine for --host");
  s.server.widen_backlog();
}

HttpServer::~HttpServer() = default;

int HttpServer::port() const {
  return state_->port;
}

void HttpServer::run() {
  state_->server.listen_after_bind();
}

void HttpServer::stop() {
  state_->stopping = true;
  state_->server.stop();
}

int64_t HttpServer::connections() const {
  return state_->active;
}

int64_t HttpServer::refused_connections() const {
  return state_->refused;
}

}  // namespace cavmae
