#include "cavmae/search/content_hash.h"

#include <memory>
#include <vector>

#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cavmae/core/error.h"
#include "cavmae/core/time_limit.h"

namespace cavmae {
namespace {

constexpr size_t kPieceBytes = 1 << 20;

std::string to_text(XXH128_hash_t hash) {
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

class Hasher {
 public:
  Hasher() : state_(XXH3_createState(), XXH3_freeState) { XXH3_128bits_reset(state_.get()); }
  void add(const void* bytes, size_t count) { XXH3_128bits_update(state_.get(), bytes, count); }
  std::string text() const { return to_text(XXH3_128bits_digest(state_.get())); }

 private:
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state_;
};

}  // namespace

std::string content_hash(std::string_view bytes) {
  return to_text(XXH3_128bits(bytes.data(), bytes.size()));
}

std::string content_hash(const MediaSource& source) {
  const auto bytes = source.open();
  std::vector<char> piece(kPieceBytes);
  Hasher hasher;
  for (int64_t at = 0;;) {
    TimeLimit::check(source.name());
    const size_t count = bytes->read_at(at, piece.data(), piece.size());
    if (count == 0) return hasher.text();
    hasher.add(piece.data(), count);
    at += static_cast<int64_t>(count);
  }
}

std::string content_hash_of_file(const std::filesystem::path& file) {
  try {
    return content_hash(MediaSource(file));
  } catch (const MediaError& e) {
    throw Error(e.what());
  }
}

}  // namespace cavmae
