#include "cavmae/data/tar_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>

#include <archive.h>
#include <archive_entry.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/text.h"
#include "cavmae/data/shard_names.h"
#include "cavmae/media/media_source.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

constexpr size_t kBlockBytes = 64 * 1024;
constexpr size_t kCopyBytes = 1 << 20;

struct CloseArchive {
  void operator()(archive* a) const { archive_free(a); }
};
using Archive = std::unique_ptr<archive, CloseArchive>;

std::string error_text(archive* a) {
  const char* text = archive_error_string(a);
  return text == nullptr ? "no reason is given" : text;
}

// The bytes of an archive as libarchive asks for them.
struct TarInput {
  const MediaBytes& bytes;
  int64_t position = 0;
  std::vector<char> block = std::vector<char>(kBlockBytes);
  std::exception_ptr failure = nullptr;

  static la_ssize_t read(archive*, void* user, const void** out) {
    auto& input = *static_cast<TarInput*>(user);
    try {
      const size_t have = input.bytes.read_at(input.position, input.block.data(), input.block.size());
      input.position += static_cast<int64_t>(have);
      *out = input.block.data();
      return static_cast<la_ssize_t>(have);
    } catch (...) {  // not through a library of C
      input.failure = std::current_exception();
      return ARCHIVE_FATAL;
    }
  }
  static la_int64_t skip(archive*, void* user, la_int64_t count) {
    auto& input = *static_cast<TarInput*>(user);
    const int64_t skipped = std::clamp<int64_t>(input.bytes.size() - input.position, 0, count);
    input.position += skipped;
    return skipped;
  }
  // Rethrows what reading threw.
  std::string reason(archive* a) const {
    if (failure) std::rethrow_exception(failure);
    return error_text(a);
  }
};

// What a file that is no plain tar is packed with; empty: it is not known.
const char* compression_of(std::string_view bytes) {
  using namespace std::string_view_literals;
  if (bytes.starts_with("\x1f\x8b"sv)) return "gzip -d";
  if (bytes.starts_with("BZh"sv)) return "bzip2 -d";
  if (bytes.starts_with("\xfd\x37zXZ"sv)) return "xz -d";
  if (bytes.starts_with("\x28\xb5\x2f\xfd"sv)) return "zstd -d";
  if (bytes.starts_with("\x04\x22\x4d\x18"sv)) return "lz4 -d";
  return "";
}

[[noreturn]] void fail_as_no_tar(const std::string& tar, const MediaBytes& file, const std::string& reason) {
  std::array<char, 8> begin{};
  const size_t have = file.read_at(0, begin.data(), begin.size());
  const std::string unpack = compression_of({begin.data(), have});
  CAVMAE_CHECK_AS(DataError, unpack.empty(), tar, ": ", why_no_compressed_shard(unpack));
  throw DataError(concat(tar, ": is no tar archive (", reason, ")"));
}

// The member that was read last. Throws where its bytes do not lie at the place that is found.
TarMember member_at(archive* a, archive_entry* entry, const MediaBytes& file, const std::string& tar) {
  const char* name = archive_entry_pathname(entry);
  CAVMAE_CHECK_AS(DataError, name != nullptr, tar, ": a member has a name that is no text here");
  TarMember member{.name = name, .offset = archive_filter_bytes(a, 0), .size = archive_entry_size(entry)};
  const std::string shown = concat(tar, ": the member '", printable(member.name), "' ");
  CAVMAE_CHECK_AS(DataError, archive_entry_sparse_count(entry) == 0, shown,
                  "is sparse (tar -S), so that its bytes lie in pieces; pack it anew without -S");
  CAVMAE_CHECK_AS(DataError, member.offset + member.size <= file.size(), shown, "should end at byte ",
                  member.offset + member.size, " of a file of ", file.size(),
                  " bytes; it was cut off, copy or download it again");
  const void* block = nullptr;
  size_t count = 0;
  la_int64_t offset = 0;
  if (member.size == 0) return member;
  const int status = archive_read_data_block(a, &block, &count, &offset);
  CAVMAE_CHECK_AS(DataError, status == ARCHIVE_OK, shown, "cannot be read: ", error_text(a));
  std::vector<char> same(std::min(count, kBlockBytes));
  const bool lies_there = offset == 0 &&
                          file.read_at(member.offset, same.data(), same.size()) == same.size() &&
                          std::memcmp(same.data(), block, same.size()) == 0;
  CAVMAE_CHECK_AS(DataError, lies_there, shown, "does not lie in one piece; pack it anew");
  return member;
}

}  // namespace

std::vector<TarMember> scan_tar(const MediaBytes& tar, const std::string& name) {
  TarInput input{.bytes = tar};
  const Archive a(archive_read_new());
  archive_read_support_filter_none(a.get());
  archive_read_support_format_tar(a.get());
  archive_read_set_skip_callback(a.get(), &TarInput::skip);
  archive_read_set_read_callback(a.get(), &TarInput::read);
  archive_read_set_callback_data(a.get(), &input);
  if (archive_read_open1(a.get()) != ARCHIVE_OK) fail_as_no_tar(name, tar, input.reason(a.get()));
  std::vector<TarMember> members;
  archive_entry* entry = nullptr;
  for (;;) {
    const int status = archive_read_next_header(a.get(), &entry);
    if (status == ARCHIVE_EOF) break;
    if (input.failure) std::rethrow_exception(input.failure);
    if (status < ARCHIVE_WARN && members.empty()) fail_as_no_tar(name, tar, input.reason(a.get()));
    CAVMAE_CHECK_AS(DataError, status >= ARCHIVE_WARN, name, ": is cut off or damaged after the member '",
                    members.empty() ? "" : printable(members.back().name), "': ", error_text(a.get()),
                    "; copy or download it again");
    if (archive_entry_filetype(entry) == AE_IFREG && archive_entry_hardlink(entry) == nullptr)
      members.push_back(member_at(a.get(), entry, tar, name));
  }
  if (input.failure) std::rethrow_exception(input.failure);
  return members;
}

std::vector<TarMember> scan_tar(const fs::path& tar) {
  return scan_tar(*MediaSource(tar).open(), tar.string());
}

struct TarWriter::State {
  fs::path file;
  Archive out{archive_write_new()};
  struct FreeEntry {
    void operator()(archive_entry* entry) const { archive_entry_free(entry); }
  };
  std::unique_ptr<archive_entry, FreeEntry> entry{archive_entry_new()};

  void begin(const std::string& name, int64_t size);
  void write(const void* bytes, size_t count);
  void check(int status, const char* what) const {
    CAVMAE_CHECK_AS(DataError, status == ARCHIVE_OK, file.string(), ": ", what, ": ", error_text(out.get()));
  }
};

TarWriter::TarWriter(const fs::path& file) : state_(new State{.file = file}) {
  archive* out = state_->out.get();
  archive_write_add_filter_none(out);
  archive_write_set_format_pax_restricted(out);
  archive_write_set_bytes_in_last_block(out, 1);
  state_->check(archive_write_open_filename(out, file.c_str()), "cannot be created");
}

TarWriter::~TarWriter() = default;

void TarWriter::State::begin(const std::string& name, int64_t size) {
  archive_entry* header = archive_entry_clear(entry.get());
  archive_entry_set_pathname(header, name.c_str());
  archive_entry_set_size(header, size);
  archive_entry_set_filetype(header, AE_IFREG);
  archive_entry_set_perm(header, 0644);
  archive_entry_set_mtime(header, 0, 0);
  check(archive_write_header(out.get(), header), "cannot be written");
}

void TarWriter::State::write(const void* bytes, size_t count) {
  if (count == 0) return;
  const la_ssize_t written = archive_write_data(out.get(), bytes, count);
  CAVMAE_CHECK_AS(DataError, written == static_cast<la_ssize_t>(count), file.string(),
                  ": cannot be written: ", error_text(out.get()));
}

void TarWriter::add(const std::string& name, std::string_view content) {
  state_->begin(name, static_cast<int64_t>(content.size()));
  state_->write(content.data(), content.size());
}

void TarWriter::add(const std::string& name, const MediaBytes& content) {
  state_->begin(name, content.size());
  std::vector<char> block(kCopyBytes);
  for (int64_t offset = 0; offset < content.size();) {
    const size_t have = content.read_at(offset, block.data(), block.size());
    CAVMAE_CHECK_AS(DataError, have > 0, state_->file.string(), ": what becomes '", name,
                    "' became shorter while it was read");
    state_->write(block.data(), have);
    offset += static_cast<int64_t>(have);
  }
}

int64_t TarWriter::size() const {
  return archive_filter_bytes(state_->out.get(), -1);
}

void TarWriter::finish() {
  state_->check(archive_write_close(state_->out.get()), "cannot be finished");
}

}  // namespace cavmae
