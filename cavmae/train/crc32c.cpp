#include "cavmae/train/crc32c.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78u;  // 0x1edc6f41 with its bits reversed

constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? kPolynomial : 0u);
    table[byte] = value;
  }
  return table;
}

uint32_t update_by_table(std::string_view bytes, uint32_t state) {
  static constexpr auto kTable = make_table();
  for (const unsigned char byte : bytes) state = (state >> 8) ^ kTable[(state ^ byte) & 0xff];
  return state;
}

#if defined(__x86_64__)
// The instruction takes eight bytes a time; a checkpoint of some gigabytes is summed in a second.
[[gnu::target("sse4.2")]] uint32_t update_by_instruction(std::string_view bytes, uint32_t state) {
  uint64_t wide = state;
  while (bytes.size() >= 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data(), 8);
    wide = __builtin_ia32_crc32di(wide, word);
    bytes.remove_prefix(8);
  }
  return update_by_table(bytes, static_cast<uint32_t>(wide));
}
#endif

constexpr Crc32cKernel kCrc32cKernels[] = {
    {"baseline", Isa::baseline, update_by_table},
#if defined(__x86_64__)
    {"sse42", Isa::sse42, update_by_instruction},
#endif
};

}  // namespace

const Crc32cKernel& best_crc32c_kernel() {
  static const Crc32cKernel& best = *best_version(kCrc32cKernels);
  return best;
}

uint32_t crc32c(std::string_view bytes, uint32_t crc) {
  return ~best_crc32c_kernel().functions(bytes, ~crc);
}

uint32_t crc32c_of_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  CAVMAE_CHECK(in, path.string(), ": cannot be opened: ", std::strerror(errno));
  std::vector<char> piece(size_t{1} << 20);
  uint32_t crc = 0;
  while (in.read(piece.data(), static_cast<std::streamsize>(piece.size())) || in.gcount() > 0)
    crc = crc32c({piece.data(), static_cast<size_t>(in.gcount())}, crc);
  CAVMAE_CHECK(!in.bad(), path.string(), ": cannot be read: ", std::strerror(errno));
  return crc;
}

}  // namespace cavmae
