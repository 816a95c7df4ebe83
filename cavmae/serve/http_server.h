// A server of HTTP/1.1: connections on threads of a bounded number, each request handed to an HttpHandler.
// The only header of this folder behind which a library of HTTP stands.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cavmae/serve/http.h"

namespace cavmae {

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  int port = 8765;               // 0: any that is free
  int64_t max_connections = 64;  // a thread each; one more is answered 503 at once
  int64_t backlog = 256;         // connections that the system keeps until they are taken
  double idle_seconds = 1.0;     // that a connection may stay without a request
  double head_seconds = 10.0;    // in which a request's head has to arrive
  double stall_seconds = 10.0;   // in which some of a body has to arrive, or to be taken
  double body_seconds = 600.0;   // in which a whole body has to arrive
  int64_t max_head_bytes = 65536;
};

class HttpServer {
 public:
  // Binds and listens. Throws ConfigError that names the address. The handler outlives this.
  HttpServer(const HttpServerOptions& options, HttpHandler& handler);
  ~HttpServer();

  int port() const;
  // Serves until stop(); then what is being answered is finished, and connections without a request end.
  void run();
  // From any thread.
  void stop();

  // Now, and since the start.
  int64_t connections() const;
  int64_t refused_connections() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cavmae
