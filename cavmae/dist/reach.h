// Connections to see by which address a host is reached. Private to this folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace cavmae {

// The two ends of a connection, as numbers: "10.0.0.1", "fd00::1".
struct ConnectionEnds {
  std::string own, other;
};

// Connects to HOST:PORT and hangs up. Nothing where nobody answers within a second.
std::optional<ConnectionEnds> try_to_reach(const std::string& host, int64_t port);

// The address by which this host would send to others; "127.0.0.1" where it has no network.
std::string address_towards_others();

bool is_loopback(const std::string& address);

}  // namespace cavmae
