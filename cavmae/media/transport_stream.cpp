#include "cavmae/media/transport_stream.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace cavmae {
namespace {

// The end of a file in packets of 188 bytes, or 192 or 204 with what surrounds them.
struct TransportTail {
  std::vector<uint8_t> bytes;
  size_t first = 0, packet_bytes = 0;  // 0: no packets were found
};

TransportTail read_transport_tail(const MediaIo& io) {
  constexpr int64_t kReach = 1 << 20;
  TransportTail tail;
  const int64_t from = std::max<int64_t>(0, io.size() - kReach);
  tail.bytes.resize(static_cast<size_t>(io.size() - from));
  tail.bytes.resize(io.read_at(from, tail.bytes.data(), tail.bytes.size()));
  for (const size_t size : {188, 192, 204}) {
    for (size_t first = 0; first < size && first + 4 * size < tail.bytes.size(); ++first) {
      const auto is_sync = [&](size_t i) { return tail.bytes[first + i * size] == 0x47; };
      if (!is_sync(0) || !is_sync(1) || !is_sync(2) || !is_sync(3) || !is_sync(4)) continue;
      tail.first = first;
      tail.packet_bytes = size;
      return tail;
    }
  }
  return tail;
}

// Whether a packet's adaptation field is longer than the clocks in it: the rest only fills up the packet. One
// that holds more than clocks is taken for stuffed.
bool is_stuffed(const uint8_t* packet) {
  constexpr int kClockBytes = 6;
  const int length = (packet[3] & 0x20) != 0 ? packet[4] : 0;
  if (length == 0) return false;
  const int flags = packet[5];
  const int clocks = ((flags & 0x10) != 0 ? 1 : 0) + ((flags & 0x08) != 0 ? 1 : 0);
  return flags == 0 || length > 1 + clocks * kClockBytes;
}

}  // namespace

bool ends_with_a_transport_packet(const MediaIo& io) {
  const TransportTail tail = read_transport_tail(io);
  if (tail.packet_bytes == 0) return true;
  const size_t rest = (tail.bytes.size() - tail.first) % tail.packet_bytes;
  return rest == 0 || rest >= 188;
}

bool last_transport_packet_is_full(const MediaIo& io, int pid) {
  const TransportTail tail = read_transport_tail(io);
  bool is_full = false;
  for (size_t at = tail.first; tail.packet_bytes > 0 && at + 188 <= tail.bytes.size();
       at += tail.packet_bytes) {
    const uint8_t* packet = tail.bytes.data() + at;
    if (packet[0] != 0x47 || ((packet[1] & 0x1f) << 8 | packet[2]) != pid) continue;
    is_full = !is_stuffed(packet);
  }
  return is_full;
}

}  // namespace cavmae
