#include "cavmae/serve/serve.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/serve/http_server.h"
#include "cavmae/serve/library_service.h"

namespace cavmae {

void ServeOptions::validate() const {
  Problems problems;
  const auto positive = [&](const char* name, double value) {
    problems.require(value > 0, name, " is ", value, "; it must be more than 0");
  };
  positive("max_connections", static_cast<double>(max_connections));
  positive("max_batch", static_cast<double>(max_batch));
  positive("max_waiting", static_cast<double>(max_waiting));
  positive("decoders", static_cast<double>(decoders));
  positive("max_upload_mb", static_cast<double>(max_upload_mb));
  positive("max_media_seconds", max_media_seconds);
  positive("max_megapixels", static_cast<double>(max_megapixels));
  positive("decode_seconds", decode_seconds);
  problems.require(batch_ms >= 0, "batch_ms is ", batch_ms, "; it must not be negative");
  problems.require(cache_mb >= 0, "cache_mb is ", cache_mb, "; it must not be negative");
  problems.require(port >= 0 && port < 65536, "port is ", port, "; it lies between 0 and 65535");
  const bool is_local = host == "localhost" || host == "::1" || host.starts_with("127.");
  problems.require(is_local || !token_file.empty(), "others can reach the host ", host,
                   "; give tokens by --token-file, or take 127.0.0.1");
  problems.throw_if_any("the library cannot be served");
}

struct ServedLibrary::State {
  State(const std::string& library, const Pretrained& model, const ServeOptions& options,
        const std::shared_ptr<Log>& log)
      : service(library, model, options, log),
        server({.host = options.host, .port = options.port, .max_connections = options.max_connections},
               service) {
    service.begin(server);
  }

  LibraryService service;
  HttpServer server;
  std::atomic<bool> stop_asked = false, has_ended = false;
};

ServedLibrary::ServedLibrary(const std::string& library, const Pretrained& model, const ServeOptions& options,
                             const std::shared_ptr<Log>& log) {
  options.validate();
  state_ = std::make_unique<State>(library, model, options, log);
}

ServedLibrary::~ServedLibrary() = default;

int ServedLibrary::port() const {
  return state_->server.port();
}

void ServedLibrary::run() {
  // The server forgets a stop() that comes before it listens.
  std::thread stopper([this] {
    while (!state_->has_ended) {
      if (state_->stop_asked) state_->server.stop();
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  });
  state_->server.run();
  state_->has_ended = true;
  stopper.join();
}

void ServedLibrary::stop() {
  state_->service.drain();
  state_->stop_asked = true;
}

}  // namespace cavmae
