// One connection as bytes, with limits on how long and how much its client may keep a thread busy. Private to
// this folder; one thread.
#pragma once

#include <array>
#include <atomic>
#include <chrono>

#include <httplib.h>

#include "cavmae/serve/http_server.h"

namespace cavmae {

class ConnectionStream : public httplib::Stream {
 public:
  // Takes the socket, and closes it. `stopping`: set when no further request is wanted.
  ConnectionStream(int socket, const HttpServerOptions& options, const std::atomic<bool>& stopping);
  ~ConnectionStream() override;
  ConnectionStream(const ConnectionStream&) = delete;
  ConnectionStream& operator=(const ConnectionStream&) = delete;

  // Waits for the first byte of a request. False when none came while the connection may be idle.
  bool wait_for_request();
  // The head has been read, what follows is the body.
  void begin_body();
  // Whether what was sent has not been read to its end, so that the next byte is no request's.
  void poison() { is_poisoned_ = true; }
  bool is_poisoned() const { return is_poisoned_; }

  bool is_readable() const override;
  bool is_writable() const override;
  ssize_t read(char* out, size_t count) override;
  ssize_t write(const char* data, size_t count) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return socket_; }

 private:
  using Clock = std::chrono::steady_clock;
  bool wait(short events, double seconds) const;

  int socket_;
  const HttpServerOptions& options_;
  const std::atomic<bool>& stopping_;
  std::array<char, 16384> buffer_{};
  size_t at_ = 0, end_ = 0;
  bool is_head_ = true, is_poisoned_ = false;
  int64_t head_bytes_ = 0;
  Clock::time_point deadline_;
};

}  // namespace cavmae
