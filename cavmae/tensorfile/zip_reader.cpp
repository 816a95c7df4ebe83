#include "cavmae/tensorfile/zip_reader.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "cavmae/core/error.h"
#include "cavmae/core/fuzzing.h"
#include "cavmae/core/text.h"

// The layout is that of PKWARE's APPNOTE 6.3: section 4.3.7 (local header), 4.3.12 (directory), 4.3.14
// to 4.3.16 (the ends of the directory), 4.5.3 (sizes of 64 bits).
namespace cavmae {
namespace {

constexpr uint32_t kLocalSignature = 0x04034b50, kEntrySignature = 0x02014b50, kEndSignature = 0x06054b50,
                   kEnd64Signature = 0x06064b50, kLocator64Signature = 0x07064b50;
constexpr uint64_t kLocalBytes = 30, kEntryBytes = 46, kEndBytes = 22, kEnd64Bytes = 56, kLocator64Bytes = 20;
constexpr uint64_t kMaxDirectoryBytes = 256'000'000;
constexpr uint16_t kSizes64 = 1;

template <class T>
T get(const std::string& bytes, uint64_t position) {
  T value;
  std::memcpy(&value, bytes.data() + position, sizeof value);
  return value;
}

[[noreturn]] void fail(const FileReader& file, const std::string& problem) {
  throw CheckpointError(
      concat(file.name(), ": ", problem, "; the file is truncated or damaged, copy or download it again"));
}

std::string read_bytes(const FileReader& file, uint64_t position, uint64_t bytes) {
  if (position > file.size() || bytes > file.size() - position)
    fail(file, "the zip directory points outside");
  std::string text(bytes, '\0');
  file.read(position, text.data(), bytes);
  return text;
}

// Where the last record of the file begins: it is 22 bytes and a comment long.
uint64_t find_end(const FileReader& file) {
  const uint64_t tail_bytes = std::min<uint64_t>(file.size(), kEndBytes + UINT16_MAX);
  const std::string tail = read_bytes(file, file.size() - tail_bytes, tail_bytes);
  for (uint64_t at = tail_bytes - std::min(tail_bytes, kEndBytes) + 1; at-- > 0;)
    if (tail_bytes - at >= kEndBytes && get<uint32_t>(tail, at) == kEndSignature)
      return file.size() - tail_bytes + at;
  fail(file, "the zip directory is missing");
}

// Fields of 32 bits that are full stand for ones of 64 bits in the extra field, in this order.
void widen(const FileReader& file, const std::string& extra, std::array<uint64_t*, 3> fields) {
  for (uint64_t at = 0; at + 4 <= extra.size();) {
    const auto id = get<uint16_t>(extra, at), bytes = get<uint16_t>(extra, at + 2);
    at += 4;
    if (bytes > extra.size() - at) return;
    if (id == kSizes64) {
      uint64_t from = at;
      for (uint64_t* field : fields) {
        if (*field != UINT32_MAX) continue;
        if (from + 8 > at + bytes) fail(file, "a zip entry lacks its size");
        *field = get<uint64_t>(extra, from);
        from += 8;
      }
      return;
    }
    at += bytes;
  }
}

using Tables = std::array<std::array<uint32_t, 256>, 8>;

constexpr Tables make_tables() {
  Tables tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    tables[0][i] = crc;
  }
  for (size_t t = 1; t < 8; ++t)
    for (size_t i = 0; i < 256; ++i)
      tables[t][i] = tables[t - 1][i] >> 8 ^ tables[0][tables[t - 1][i] & 0xff];
  return tables;
}

}  // namespace

uint32_t crc32(const void* data, size_t bytes) {
  static constexpr Tables kTables = make_tables();
  const auto* p = static_cast<const uint8_t*>(data);
  uint32_t crc = ~uint32_t{0};
  for (; bytes >= 8; bytes -= 8, p += 8) {  // eight bytes at a time, one table each
    uint64_t word;
    std::memcpy(&word, p, 8);
    word ^= crc;
    crc = 0;
    for (size_t i = 0; i < 8; ++i) crc ^= kTables[7 - i][word >> (8 * i) & 0xff];
  }
  for (; bytes > 0; --bytes, ++p) crc = crc >> 8 ^ kTables[0][(crc ^ *p) & 0xff];
  return ~crc;
}

bool ZipReader::matches(const FileReader& file) {
  return file.size() >= 4 && get<uint32_t>(read_bytes(file, 0, 4), 0) == kLocalSignature;
}

ZipReader::ZipReader(const FileReader& file) : file_(file) {
  const uint64_t end_position = find_end(file);
  const std::string end = read_bytes(file, end_position, kEndBytes);
  uint64_t count = get<uint16_t>(end, 10), bytes = get<uint32_t>(end, 12), position = get<uint32_t>(end, 16);
  if (end_position >= kLocator64Bytes) {
    const std::string locator = read_bytes(file, end_position - kLocator64Bytes, kLocator64Bytes);
    if (get<uint32_t>(locator, 0) == kLocator64Signature) {
      const std::string end64 = read_bytes(file, get<uint64_t>(locator, 8), kEnd64Bytes);
      if (get<uint32_t>(end64, 0) != kEnd64Signature) fail(file, "the zip directory's end is damaged");
      count = get<uint64_t>(end64, 32), bytes = get<uint64_t>(end64, 40), position = get<uint64_t>(end64, 48);
    }
  }
  if (bytes > kMaxDirectoryBytes) fail(file, "the zip directory is too large");
  read_directory(position, bytes, count);
}

void ZipReader::read_directory(uint64_t position, uint64_t bytes, uint64_t count) {
  const std::string directory = read_bytes(file_, position, bytes);
  uint64_t at = 0;
  for (; count > 0; --count) {
    if (directory.size() - at < kEntryBytes || get<uint32_t>(directory, at) != kEntrySignature)
      fail(file_, "the zip directory is damaged");
    const uint64_t name_bytes = get<uint16_t>(directory, at + 28),
                   extra_bytes = get<uint16_t>(directory, at + 30),
                   comment_bytes = get<uint16_t>(directory, at + 32);
    if (directory.size() - at - kEntryBytes < name_bytes + extra_bytes + comment_bytes)
      fail(file_, "the zip directory is damaged");
    uint64_t packed = get<uint32_t>(directory, at + 20);
    Entry entry{.header_position = get<uint32_t>(directory, at + 42),
                .size = get<uint32_t>(directory, at + 24),
                .checksum = get<uint32_t>(directory, at + 16)};
    widen(file_, directory.substr(at + kEntryBytes + name_bytes, extra_bytes),
          {&entry.size, &packed, &entry.header_position});
    constexpr uint16_t kEncrypted = 1;
    entry.stored = get<uint16_t>(directory, at + 10) == 0 && packed == entry.size &&
                   (get<uint16_t>(directory, at + 8) & kEncrypted) == 0;
    const std::string name = directory.substr(at + kEntryBytes, name_bytes);
    if (!entries_.emplace(name, entry).second)
      fail(file_, "two zip entries are called '" + printable(name) + "'");
    at += kEntryBytes + name_bytes + extra_bytes + comment_bytes;
  }
}

const ZipReader::Entry& ZipReader::at(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) fail(file_, "the record '" + printable(name) + "' is missing");
  return found->second;
}

void ZipReader::read(const Entry& entry, void* out) const {
  CAVMAE_CHECK_AS(
      CheckpointError, entry.stored, file_.name(),
      ": is a compressed zip file; PyTorch stores without compressing, so unpack it or save it again");
  const std::string header = read_bytes(file_, entry.header_position, kLocalBytes);
  if (get<uint32_t>(header, 0) != kLocalSignature) fail(file_, "a record's header is damaged");
  const uint64_t position =
      entry.header_position + kLocalBytes + get<uint16_t>(header, 26) + get<uint16_t>(header, 28);
  file_.read(position, out, entry.size);
  if (kChecksumsCount && crc32(out, entry.size) != entry.checksum)
    fail(file_, "a record's checksum is wrong");
}

}  // namespace cavmae
