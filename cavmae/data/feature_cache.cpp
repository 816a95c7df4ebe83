#include "cavmae/data/feature_cache.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/fuzzing.h"
#include "cavmae/core/text.h"
#include "cavmae/media/has_media.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

static_assert(std::endian::native == std::endian::little, "cache entries are little-endian");

// Note [Cache entry]
// A fixed part, the checksums of the records, the name, the stamp, zeros up to a multiple of 64 bytes; then
// the records one after another. Each record has its own checksum, so that one picture of ten is read and
// checked alone.
struct FixedPart {
  char magic[8];
  uint64_t header_bytes;     // where the first record begins
  uint64_t header_checksum;  // of the header from the next field on
  uint64_t dtype;            // index in kTypes
  uint64_t num_records;
  uint64_t record_bytes;
  uint64_t num_dims;
  int64_t shape[4];  // of a record; what is not used is 0
  uint64_t name_bytes;
  uint32_t stamp_bytes;
  uint16_t version;          // kCacheVersion
  uint16_t decoder_version;  // libavcodec's major one
};
static_assert(sizeof(FixedPart) == 104);

static_assert(kCacheVersion < (1 << 16));
constexpr char kMagic[8] = {'C', 'A', 'V', 'F', 'E', 'A', 'T', '1'};
constexpr size_t kChecksumFrom = offsetof(FixedPart, dtype);
constexpr size_t kAlignment = 64;
constexpr uint64_t kLargestHeader = 1 << 20;
constexpr torch::ScalarType kTypes[] = {torch::kFloat32, torch::kFloat64, torch::kUInt8};

// Four independent chains of eight bytes each, as fast as memory; any changed word changes the result. It
// guards against damage, not against malice.
uint64_t checksum(const void* data, size_t num_bytes) {
  constexpr uint64_t kPrime = 0x9e3779b185ebca87ull;
  uint64_t lanes[4] = {1, 2, 3, num_bytes};
  const auto* bytes = static_cast<const unsigned char*>(data);
  const auto mix = [](uint64_t lane, uint64_t word) { return std::rotl(lane ^ word, 29) * kPrime; };
  for (; num_bytes >= 32; bytes += 32, num_bytes -= 32) {
    uint64_t words[4];
    std::memcpy(words, bytes, 32);
    for (int i = 0; i < 4; ++i) lanes[i] = mix(lanes[i], words[i]);
  }
  for (size_t i = 0; i < num_bytes; ++i) lanes[i % 4] = mix(lanes[i % 4], bytes[i]);
  uint64_t result = 0;
  for (const uint64_t lane : lanes) result = mix(result, lane ^ (lane >> 31));
  return result ^ (result >> 33);
}

bool read_fully(int file, void* out, size_t num_bytes, size_t offset) {
  auto* at = static_cast<char*>(out);
  while (num_bytes > 0) {
    const ssize_t n = ::pread(file, at, num_bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += n, offset += n, num_bytes -= n;
  }
  return true;
}

void write_fully(int file, const void* data, size_t num_bytes) {
  const auto* at = static_cast<const char*>(data);
  while (num_bytes > 0) {
    const ssize_t n = ::write(file, at, num_bytes);
    if (n < 0 && errno == EINTR) continue;
    CAVMAE_CHECK(n > 0, std::strerror(errno));
    at += n, num_bytes -= n;
  }
}

// Header of the entry; the records follow it.
std::string make_header(const CacheKey& key, const torch::Tensor& records, uint32_t version) {
  const size_t record_bytes = records.nbytes() / records.size(0);
  FixedPart fixed{};
  std::memcpy(fixed.magic, kMagic, sizeof(kMagic));
  fixed.dtype = std::find(std::begin(kTypes), std::end(kTypes), records.scalar_type()) - std::begin(kTypes);
  fixed.num_records = records.size(0);
  fixed.record_bytes = record_bytes;
  fixed.num_dims = records.dim() - 1;
  for (int64_t d = 1; d < records.dim(); ++d) fixed.shape[d - 1] = records.size(d);
  fixed.name_bytes = key.name.size();
  fixed.stamp_bytes = static_cast<uint32_t>(key.stamp.size());
  fixed.version = static_cast<uint16_t>(version);
  fixed.decoder_version = static_cast<uint16_t>(decoder_version());
  std::string header(sizeof(fixed), '\0');
  const auto* data = static_cast<const char*>(records.data_ptr());
  for (int64_t r = 0; r < records.size(0); ++r) {
    const uint64_t sum = checksum(data + r * record_bytes, record_bytes);
    header.append(reinterpret_cast<const char*>(&sum), sizeof(sum));
  }
  header += key.name;
  header += key.stamp;
  header.resize((header.size() + kAlignment - 1) / kAlignment * kAlignment, '\0');
  fixed.header_bytes = header.size();
  std::memcpy(header.data(), &fixed, sizeof(fixed));
  fixed.header_checksum = checksum(header.data() + kChecksumFrom, header.size() - kChecksumFrom);
  std::memcpy(header.data(), &fixed, sizeof(fixed));
  return header;
}

// Whether the fields agree with one another and with the length of the file.
bool is_consistent(const FixedPart& fixed, uint64_t file_bytes) {
  const uint64_t limit = fixed.header_bytes;
  if (fixed.dtype >= std::size(kTypes) || fixed.num_dims > std::size(fixed.shape)) return false;
  if (fixed.num_records == 0 || fixed.num_records > limit / 8) return false;
  if (fixed.name_bytes > limit || fixed.stamp_bytes > limit) return false;
  if (sizeof(fixed) + fixed.num_records * 8 + fixed.name_bytes + fixed.stamp_bytes > limit) return false;
  // Sizes of 0 count as 1 for the limit, since LibTorch multiplies the others into strides.
  uint64_t bounded = torch::elementSize(kTypes[fixed.dtype]);
  bool empty = false;
  for (uint64_t d = 0; d < fixed.num_dims; ++d) {
    const int64_t size = fixed.shape[d];
    empty = empty || size == 0;
    if (size < 0 || (size > 0 && bounded > file_bytes / static_cast<uint64_t>(size))) return false;
    bounded *= static_cast<uint64_t>(std::max<int64_t>(size, 1));
  }
  const uint64_t bytes = empty ? 0 : bounded;
  return bytes == fixed.record_bytes && fixed.num_records <= file_bytes / std::max<uint64_t>(bytes, 1) &&
         file_bytes == limit + fixed.num_records * bytes;
}

// The header when it is whole and fits the file, else "".
std::string read_header(int file) {
  struct stat status {};
  FixedPart fixed;
  std::string header(4096, '\0');
  if (::fstat(file, &status) != 0) return {};
  const auto file_bytes = static_cast<uint64_t>(status.st_size);
  header.resize(std::min<uint64_t>(header.size(), file_bytes));
  if (header.size() < sizeof(fixed) || !read_fully(file, header.data(), header.size(), 0)) return {};
  std::memcpy(&fixed, header.data(), sizeof(fixed));
  const uint64_t size = fixed.header_bytes;
  if (std::memcmp(fixed.magic, kMagic, sizeof(kMagic)) != 0 || size < sizeof(fixed) ||
      size > std::min(kLargestHeader, file_bytes))
    return {};
  const size_t have = header.size();
  header.resize(size);
  if (size > have && !read_fully(file, header.data() + have, size - have, have)) return {};
  if (kChecksumsCount &&
      checksum(header.data() + kChecksumFrom, size - kChecksumFrom) != fixed.header_checksum)
    return {};
  return is_consistent(fixed, file_bytes) ? header : std::string();
}

bool is_of_version(const FixedPart& fixed, uint32_t version) {
  const bool same_decoder = fixed.decoder_version == decoder_version() || !has_media();
  return fixed.version == version && same_decoder;
}

}  // namespace

std::string source_stamp(const std::vector<MediaSource>& sources) {
  std::string stamp;
  for (const MediaSource& source : sources) stamp += source.stamp() + ";";
  return stamp;
}

CacheEntry::CacheEntry(CacheEntry&& other) noexcept
    : file_(std::exchange(other.file_, -1)),
      first_record_at_(other.first_record_at_),
      record_bytes_(other.record_bytes_),
      dtype_(other.dtype_),
      shape_(std::move(other.shape_)),
      checksums_(std::move(other.checksums_)) {}

CacheEntry::~CacheEntry() {
  if (file_ >= 0) ::close(file_);
}

bool CacheEntry::read(int64_t record, void* out) const {
  CAVMAE_CHECK(record >= 0 && record < num_records(), "cache entry: no record ", record, " of ",
               num_records());
  return read_fully(file_, out, record_bytes_, first_record_at_ + record * record_bytes_) &&
         checksum(out, record_bytes_) == checksums_[record];
}

std::optional<torch::Tensor> CacheEntry::read(int64_t record) const {
  torch::Tensor out = torch::empty(shape_, dtype_);
  if (!read(record, out.data_ptr())) return std::nullopt;
  return out;
}

FeatureCache::FeatureCache(fs::path folder, std::shared_ptr<Log> log, uint32_t version)
    : folder_(std::move(folder)), log_(std::move(log)), version_(version) {
  std::error_code failed;
  fs::create_directories(folder_, failed);
  CAVMAE_CHECK(fs::is_directory(folder_) && ::access(folder_.c_str(), W_OK | X_OK) == 0, "--cache ",
               folder_.string(), ": cannot be made or written to",
               failed ? ": " + failed.message() : std::string(), "; choose another folder or leave it out");
}

fs::path FeatureCache::path_of(const CacheKey& key) const {
  const std::string name = fmt::format("{:016x}", stable_hash(key.name));
  return folder_ / name.substr(0, 2) / (name + ".feat");
}

std::optional<CacheEntry> FeatureCache::open(const CacheKey& key) const {
  CacheEntry entry;
  entry.file_ = ::open(path_of(key).c_str(), O_RDONLY | O_CLOEXEC);
  if (entry.file_ < 0) return std::nullopt;
  const std::string header = read_header(entry.file_);
  if (header.empty()) return std::nullopt;
  FixedPart fixed;
  std::memcpy(&fixed, header.data(), sizeof(fixed));
  const char* at = header.data() + sizeof(fixed);
  entry.checksums_.resize(fixed.num_records);
  std::memcpy(entry.checksums_.data(), at, fixed.num_records * sizeof(uint64_t));
  at += fixed.num_records * sizeof(uint64_t);
  if (std::string_view(at, fixed.name_bytes) != key.name) return std::nullopt;
  if (!is_of_version(fixed, version_)) {
    warn_of_other_versions();
    return std::nullopt;
  }
  if (std::string_view(at + fixed.name_bytes, fixed.stamp_bytes) != key.stamp) return std::nullopt;
  entry.first_record_at_ = static_cast<int64_t>(fixed.header_bytes);
  entry.record_bytes_ = static_cast<int64_t>(fixed.record_bytes);
  entry.dtype_ = kTypes[fixed.dtype];
  entry.shape_.assign(fixed.shape, fixed.shape + fixed.num_dims);
  return entry;
}

void FeatureCache::warn_of_other_versions() const {
  constexpr int64_t kMostLookedAt = 100'000;
  if (!log_ || warned_of_versions_.exchange(true)) return;
  int64_t looked_at = 0, others = 0;
  std::error_code failed;
  for (fs::recursive_directory_iterator entry(folder_, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    if (entry->path().extension() != ".feat") continue;
    if (++looked_at > kMostLookedAt) break;
    FixedPart fixed;
    const int file = ::open(entry->path().c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;
    const bool is_entry =
        read_fully(file, &fixed, sizeof(fixed), 0) && std::memcmp(fixed.magic, kMagic, sizeof(kMagic)) == 0;
    ::close(file);
    others += is_entry && !is_of_version(fixed, version_);
  }
  log_->warn(
      "--cache {}: {}{} entries are of another version of cavmae or FFmpeg; they count as absent and are made again",
      folder_.string(), looked_at > kMostLookedAt ? "at least " : "", others);
}

void FeatureCache::store(const CacheKey& key, const torch::Tensor& records) const {
  CAVMAE_CHECK(records.dim() >= 1 && records.dim() <= 5 && records.size(0) >= 1 &&
                   std::find(std::begin(kTypes), std::end(kTypes), records.scalar_type()) != std::end(kTypes),
               "FeatureCache::store: cannot hold ", records.scalar_type(), " ", records.sizes());
  if (!can_store_) return;
  static std::atomic<uint64_t> counter{0};
  const fs::path path = path_of(key);
  const fs::path temporary = fmt::format("{}.tmp-{}-{}", path.string(), ::getpid(), counter.fetch_add(1));
  const torch::Tensor data = records.contiguous();
  int file = -1;
  try {
    fs::create_directories(path.parent_path());
    file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    CAVMAE_CHECK(file >= 0, std::strerror(errno));
    const std::string header = make_header(key, data, version_);
    write_fully(file, header.data(), header.size());
    write_fully(file, data.data_ptr(), data.nbytes());
    CAVMAE_CHECK(::close(std::exchange(file, -1)) == 0, std::strerror(errno));
    // Not flushed to the disk: what a power cut leaves half written is noticed and made again.
    fs::rename(temporary, path);
  } catch (const std::exception& e) {
    if (file >= 0) ::close(file);
    std::error_code ignored;
    fs::remove(temporary, ignored);
    if (can_store_.exchange(false) && log_)
      log_->warn("--cache {}: cannot be written to ({}); going on without storing more", folder_.string(),
                 e.what());
  }
}

}  // namespace cavmae
