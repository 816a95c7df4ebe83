#include "cavmae/serve/connection_stream.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace cavmae {
namespace {

std::chrono::steady_clock::duration as_duration(double seconds) {
  return std::chrono::duration_cast<std::chrono::steady_clock::duration>(
      std::chrono::duration<double>(seconds));
}

void address_text(const sockaddr_storage& address, std::string& ip, int& port) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
    port = ntohs(v4.sin_port);
  } else if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
    port = ntohs(v6.sin6_port);
  }
  ip = text.data();
}

}  // namespace

ConnectionStream::ConnectionStream(int socket, const HttpServerOptions& options,
                                   const std::atomic<bool>& stopping)
    : socket_(socket), options_(options), stopping_(stopping), deadline_(Clock::now()) {}

ConnectionStream::~ConnectionStream() {
  ::shutdown(socket_, SHUT_WR);
  if (is_poisoned_) {
    // What the client is still sending would, unread, turn the answer into a reset.
    const auto end = Clock::now() + std::chrono::seconds(2);
    while (Clock::now() < end && wait(POLLIN, 0.5))
      if (::recv(socket_, buffer_.data(), buffer_.size(), 0) <= 0) break;
  }
  ::close(socket_);
}

bool ConnectionStream::wait(short events, double seconds) const {
  const auto end = Clock::now() + as_duration(seconds);
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd one{.fd = socket_, .events = events, .revents = 0};
    const int ready = ::poll(&one, 1, static_cast<int>(std::max<int64_t>(0, left)));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

bool ConnectionStream::wait_for_request() {
  constexpr double kSlice = 0.1;
  is_head_ = true;
  head_bytes_ = 0;
  bool found = at_ < end_;
  for (double waited = 0; !found && waited < options_.idle_seconds && !stopping_; waited += kSlice)
    found = wait(POLLIN, std::min(kSlice, options_.idle_seconds));
  deadline_ = Clock::now() + as_duration(options_.head_seconds);
  return found;
}

void ConnectionStream::begin_body() {
  is_head_ = false;
  deadline_ = Clock::now() + as_duration(options_.body_seconds);
}

bool ConnectionStream::is_readable() const {
  return at_ < end_ || wait(POLLIN, 0);
}

bool ConnectionStream::is_writable() const {
  return wait(POLLOUT, options_.stall_seconds);
}

ssize_t ConnectionStream::read(char* out, size_t count) {
  if (at_ == end_) {
    const double left = std::chrono::duration<double>(deadline_ - Clock::now()).count();
    ssize_t n = -1;
    if (left > 0 && wait(POLLIN, std::min(left, options_.stall_seconds))) {
      do n = ::recv(socket_, buffer_.data(), buffer_.size(), 0);
      while (n < 0 && errno == EINTR);
    }
    if (n <= 0) {
      is_poisoned_ = true;
      return n;
    }
    at_ = 0;
    end_ = static_cast<size_t>(n);
  }
  count = std::min(count, end_ - at_);
  if (is_head_) {
    head_bytes_ += static_cast<int64_t>(count);
    if (head_bytes_ > options_.max_head_bytes) {
      is_poisoned_ = true;
      return -1;
    }
  }
  std::memcpy(out, buffer_.data() + at_, count);
  at_ += count;
  return static_cast<ssize_t>(count);
}

ssize_t ConnectionStream::write(const char* data, size_t count) {
  size_t sent = 0;
  while (sent < count) {
    if (!is_writable()) return -1;
    const ssize_t n = ::send(socket_, data + sent, count - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) return -1;
    sent += static_cast<size_t>(n);
  }
  return static_cast<ssize_t>(sent);
}

void ConnectionStream::get_remote_ip_and_port(std::string& ip, int& port) const {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (::getpeername(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0)
    address_text(address, ip, port);
}

void ConnectionStream::get_local_ip_and_port(std::string& ip, int& port) const {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0)
    address_text(address, ip, port);
}

}  // namespace cavmae
