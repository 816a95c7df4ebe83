// The folder's functions in a build without the media libraries (cmake/Media.cmake).
#include "cavmae/core/error.h"
#include "cavmae/data/tar_file.h"

namespace cavmae {
namespace {

[[noreturn]] void no_tar_files(const std::filesystem::path& tar) {
  throw DataError(
      concat(tar.string(),
             ": this cavmae was built without libarchive (CAVMAE_MEDIA=OFF), which finds what a tar "
             "holds; a shard whose index lies beside it can be read"));
}

}  // namespace

std::vector<TarMember> scan_tar(const MediaBytes& /*tar*/, const std::string& name) {
  no_tar_files(name);
}
std::vector<TarMember> scan_tar(const std::filesystem::path& tar) {
  no_tar_files(tar);
}

struct TarWriter::State {};

TarWriter::TarWriter(const std::filesystem::path& file) {
  no_tar_files(file);
}
TarWriter::~TarWriter() = default;
void TarWriter::add(const std::string& /*name*/, std::string_view /*content*/) {}
void TarWriter::add(const std::string& /*name*/, const MediaBytes& /*content*/) {}
int64_t TarWriter::size() const {
  return 0;
}
void TarWriter::finish() {}

}  // namespace cavmae
