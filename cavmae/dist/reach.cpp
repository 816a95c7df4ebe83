#include "cavmae/dist/reach.h"

#include <memory>

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace cavmae {
namespace {

constexpr int kPatienceMs = 1000;

class Socket {
 public:
  Socket(int family, int type) : fd_(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {}
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

using AddressList = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

AddressList resolve(const std::string& host, const std::string& port, int type) {
  addrinfo hints = {};
  hints.ai_socktype = type;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) found = nullptr;
  return {found, &::freeaddrinfo};
}

std::string number_of(const sockaddr_storage& address, socklen_t length) {
  char text[NI_MAXHOST] = "";
  ::getnameinfo(reinterpret_cast<const sockaddr*>(&address), length, text, sizeof(text), nullptr, 0,
                NI_NUMERICHOST);
  return text;
}

std::string own_end(const Socket& socket) {
  sockaddr_storage address = {};
  socklen_t length = sizeof(address);
  return ::getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&address), &length) == 0
             ? number_of(address, length)
             : "";
}

bool connects(const Socket& socket, const addrinfo& to) {
  if (socket.fd() < 0) return false;
  if (::connect(socket.fd(), to.ai_addr, to.ai_addrlen) == 0) return true;
  pollfd waiting = {.fd = socket.fd(), .events = POLLOUT, .revents = 0};
  if (errno != EINPROGRESS || ::poll(&waiting, 1, kPatienceMs) != 1) return false;
  int error = 0;
  socklen_t length = sizeof(error);
  return ::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0;
}

}  // namespace

std::optional<ConnectionEnds> try_to_reach(const std::string& host, int64_t port) {
  const AddressList addresses = resolve(host, std::to_string(port), SOCK_STREAM);
  for (const addrinfo* to = addresses.get(); to != nullptr; to = to->ai_next) {
    const Socket socket(to->ai_family, to->ai_socktype);
    if (!connects(socket, *to)) continue;
    sockaddr_storage other = {};
    socklen_t length = sizeof(other);
    if (::getpeername(socket.fd(), reinterpret_cast<sockaddr*>(&other), &length) != 0) continue;
    return ConnectionEnds{.own = own_end(socket), .other = number_of(other, length)};
  }
  return std::nullopt;
}

// Connecting a datagram's socket sends nothing, it only chooses the way. The address is one of documentation.
std::string address_towards_others() {
  const AddressList to = resolve("192.0.2.1", "9", SOCK_DGRAM);
  const Socket socket(AF_INET, SOCK_DGRAM);
  if (to && connects(socket, *to))
    if (std::string address = own_end(socket); !address.empty()) return address;
  return "127.0.0.1";
}

bool is_loopback(const std::string& address) {
  return address.starts_with("127.") || address == "::1" || address.starts_with("::ffff:127.");
}

}  // namespace cavmae
