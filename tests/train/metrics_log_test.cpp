#include "cavmae/train/metrics_log.h"

#include <bit>
#include <cstring>

#include <gmock/gmock.h>

#include "cavmae/core/files.h"
#include "cavmae/train/crc32c.h"
#include "cavmae/train/event_file.h"

#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

// CRC-32C bit by bit, straight from its definition.
uint32_t slow_crc32c(std::string_view bytes) {
  uint32_t crc = ~0u;
  for (const unsigned char byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
  }
  return ~crc;
}

// A reader of event files that shares nothing with the writer.
class EventReader {
 public:
  struct Event {
    double wall_time = 0;
    int64_t step = 0;
    std::string file_version;
    std::vector<std::pair<std::string, float>> scalars;
  };

  static std::vector<Event> read(std::string_view bytes) {
    std::vector<Event> events;
    while (!bytes.empty()) {
      const auto length = take<uint64_t>(bytes, bytes.substr(0, 8));
      const std::string_view data = bytes.substr(0, length);
      bytes.remove_prefix(length);
      take<uint32_t>(bytes, data, /*is_checksum=*/true);
      events.push_back(parse(data));
    }
    return events;
  }

 private:
  static void check(uint32_t stored, std::string_view data) {
    const uint32_t crc = slow_crc32c(data);
    EXPECT_EQ(stored, ((crc >> 15) | (crc << 17)) + 0xa282ead8u) << "checksum";
  }
  template <class T>
  static T raw(std::string_view& bytes) {
    T value{};
    EXPECT_GE(bytes.size(), sizeof(T));
    std::memcpy(&value, bytes.data(), sizeof(T));
    bytes.remove_prefix(sizeof(T));
    return value;
  }
  // The length is followed by its checksum; the data's checksum stands alone.
  template <class T>
  static T take(std::string_view& bytes, std::string_view summed, bool is_checksum = false) {
    const T value = raw<T>(bytes);
    if (is_checksum) {
      check(static_cast<uint32_t>(value), summed);
    } else {
      check(raw<uint32_t>(bytes), summed);
    }
    return value;
  }
  static uint64_t varint(std::string_view& bytes) {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = raw<uint8_t>(bytes);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
  }
  static std::string_view block(std::string_view& bytes) {
    const uint64_t size = varint(bytes);
    const std::string_view out = bytes.substr(0, size);
    bytes.remove_prefix(size);
    return out;
  }
  static std::pair<std::string, float> parse_value(std::string_view bytes) {
    std::pair<std::string, float> out;
    while (!bytes.empty()) {
      const uint64_t key = varint(bytes);
      if (key == (1 << 3 | 2)) {
        out.first = block(bytes);
      } else if (key == (2 << 3 | 5)) {
        out.second = raw<float>(bytes);
      } else {
        ADD_FAILURE() << "unknown key " << key;
        break;
      }
    }
    return out;
  }
  static Event parse(std::string_view bytes) {
    Event event;
    while (!bytes.empty()) {
      const uint64_t key = varint(bytes);
      if (key == (1 << 3 | 1)) {
        event.wall_time = raw<double>(bytes);
      } else if (key == (2 << 3 | 0)) {
        event.step = static_cast<int64_t>(varint(bytes));
      } else if (key == (3 << 3 | 2)) {
        event.file_version = block(bytes);
      } else if (key == (5 << 3 | 2)) {
        std::string_view summary = block(bytes);
        while (!summary.empty()) {
          EXPECT_EQ(varint(summary), 1 << 3 | 2u);
          event.scalars.push_back(parse_value(block(summary)));
        }
      } else {
        ADD_FAILURE() << "unknown key " << key;
        break;
      }
    }
    return event;
  }
};

Json record(int64_t step, double loss) {
  return {{"kind", "train"}, {"step", step}, {"loss", loss}, {"lr", 1e-4}};
}

TEST(Crc32c, EqualsItsDefinition) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);  // the check value of the standard
  std::string bytes;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(crc32c(bytes), slow_crc32c(bytes)) << i << " bytes";
    EXPECT_EQ(
        crc32c(std::string_view(bytes).substr(bytes.size() / 3), crc32c(bytes.substr(0, bytes.size() / 3))),
        slow_crc32c(bytes));
    bytes.push_back(static_cast<char>(i * 37));
  }
}

TEST(EventFile, IsReadBackByAnIndependentParser) {
  const std::string bytes =
      encode_file_version(12.5) +
      encode_event({.wall_time = 1.7e9, .step = 300, .scalars = {{"train/loss", 1.25}, {"train/lr", 5e-5}}});
  const auto events = EventReader::read(bytes);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].file_version, "brain.Event:2");
  EXPECT_EQ(events[0].wall_time, 12.5);
  EXPECT_EQ(events[1].wall_time, 1.7e9);
  EXPECT_EQ(events[1].step, 300);
  EXPECT_THAT(events[1].scalars, ::testing::ElementsAre(::testing::Pair("train/loss", 1.25f),
                                                        ::testing::Pair("train/lr", 5e-5f)));
}

TEST(MetricsLog, WritesBothFiles) {
  const TemporaryFolder folder;
  const auto log = null_log();
  MetricsLog metrics(folder.path(), {}, *log);
  metrics.write(record(1, 2.5));
  metrics.write(record(2, 2.0));
  const MetricsPosition position = metrics.position();
  EXPECT_THAT(position.events_file, ::testing::StartsWith("events.out.tfevents."));
  EXPECT_EQ(read_text(folder / "metrics.jsonl"),
            "{\"kind\":\"train\",\"step\":1,\"loss\":2.5,\"lr\":0.0001}\n"
            "{\"kind\":\"train\",\"step\":2,\"loss\":2.0,\"lr\":0.0001}\n");
  const auto events = EventReader::read(read_text(folder / position.events_file));
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[2].step, 2);
  EXPECT_THAT(events[2].scalars, ::testing::Contains(::testing::Pair("train/loss", 2.0f)));
}

TEST(MetricsLog, CutsOffWhatCameAfterTheCheckpoint) {
  const TemporaryFolder folder;
  const auto log = null_log();
  MetricsPosition position;
  {
    MetricsLog metrics(folder.path(), {}, *log);
    metrics.write(record(1, 2.5));
    position = metrics.position();
    metrics.write(record(2, 2.0));
    metrics.write(record(3, 1.0));
  }
  // What a process leaves that was killed in the middle of a line.
  std::ofstream(folder / "metrics.jsonl", std::ios::app) << "{\"kind\":\"tr";
  MetricsLog metrics(folder.path(), position, *log);
  metrics.write(record(2, 2.0));
  EXPECT_EQ(read_text(folder / "metrics.jsonl"),
            "{\"kind\":\"train\",\"step\":1,\"loss\":2.5,\"lr\":0.0001}\n"
            "{\"kind\":\"train\",\"step\":2,\"loss\":2.0,\"lr\":0.0001}\n");
  EXPECT_EQ(EventReader::read(read_text(folder / position.events_file)).size(), 3u);
}

}  // namespace
}  // namespace cavmae
