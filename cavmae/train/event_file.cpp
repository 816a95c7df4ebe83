#include "cavmae/train/event_file.h"

#include <bit>
#include <concepts>
#include <string_view>

#include <fmt/format.h>
#include <unistd.h>

#include "cavmae/train/crc32c.h"

namespace cavmae {
namespace {

// Wire types of protocol buffers: how a field's value is laid out.
enum class Wire : uint64_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

template <std::unsigned_integral T>
void put_little_endian(std::string& out, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

void put_key(std::string& out, uint64_t field, Wire wire) {
  put_varint(out, field << 3 | static_cast<uint64_t>(wire));
}

void put_bytes(std::string& out, uint64_t field, std::string_view bytes) {
  put_key(out, field, Wire::bytes);
  put_varint(out, bytes.size());
  out += bytes;
}

void put_wall_time(std::string& out, double wall_time) {
  put_key(out, 1, Wire::fixed64);  // Event.wall_time
  put_little_endian(out, std::bit_cast<uint64_t>(wall_time));
}

// A checksum over data that holds checksums is weak, so the format stores them rotated and shifted.
uint32_t masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

std::string framed(std::string_view event) {
  std::string record;
  put_little_endian(record, static_cast<uint64_t>(event.size()));
  put_little_endian(record, masked_crc(record));
  record += event;
  put_little_endian(record, masked_crc(event));
  return record;
}

}  // namespace

std::string event_file_name(double wall_time) {
  char host[256] = "localhost";
  ::gethostname(host, sizeof host - 1);
  return fmt::format("events.out.tfevents.{}.{}", static_cast<int64_t>(wall_time), host);
}

std::string encode_file_version(double wall_time) {
  std::string event;
  put_wall_time(event, wall_time);
  put_bytes(event, 3, "brain.Event:2");  // Event.file_version
  return framed(event);
}

std::string encode_event(const ScalarEvent& event) {
  std::string summary;
  for (const auto& [tag, value] : event.scalars) {
    std::string entry;
    put_bytes(entry, 1, tag);  // Summary.Value.tag
    put_key(entry, 2, Wire::fixed32);
    put_little_endian(entry, std::bit_cast<uint32_t>(static_cast<float>(value)));  // .simple_value
    put_bytes(summary, 1, entry);                                                  // Summary.value
  }
  std::string out;
  put_wall_time(out, event.wall_time);
  put_key(out, 2, Wire::varint);  // Event.step
  put_varint(out, static_cast<uint64_t>(event.step));
  put_bytes(out, 5, summary);  // Event.summary
  return framed(out);
}

}  // namespace cavmae
