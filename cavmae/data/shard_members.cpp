#include "cavmae/data/shard_members.h"

#include <utility>

#include "cavmae/data/shard_index.h"
#include "cavmae/data/tar_file.h"

namespace cavmae {
namespace fs = std::filesystem;

std::optional<MemberName> split_member_name(const fs::path& name) {
  for (fs::path at = name.parent_path(); at.has_relative_path(); at = at.parent_path()) {
    std::error_code failed;
    const fs::file_status status = fs::status(at, failed);
    if (fs::is_regular_file(status))
      return MemberName{.tar = at, .member = name.native().substr(at.native().size() + 1)};
    if (fs::is_directory(status)) break;
  }
  return std::nullopt;
}

const ShardMembers::Tar& ShardMembers::tar_at(const fs::path& file) {
  constexpr size_t kMost = 8;
  std::string stamp = MediaSource(file).stamp();
  for (auto tar = tars_.begin(); tar != tars_.end(); ++tar) {
    if (tar->file != file || tar->stamp != stamp) continue;
    tars_.splice(tars_.begin(), tars_, tar);
    return tars_.front();
  }
  auto samples = read_shard_index(file);
  if (!samples) {
    const auto bytes = MediaSource(file).open();
    samples = samples_of(*bytes, scan_tar(*bytes, file.string()));
  }
  Tar tar{.file = file, .stamp = std::move(stamp), .members = {}};
  for (const ShardSample& sample : *samples)
    for (const TarMember& member : sample.members) {
      const std::string name = sample.key + member.name;
      tar.members[name] = {
          .file = file, .offset = member.offset, .size = member.size, .name = file.string() + "/" + name};
    }
  tars_.push_front(std::move(tar));
  if (tars_.size() > kMost) tars_.pop_back();
  return tars_.front();
}

std::optional<FilePart> ShardMembers::find(const MemberName& name) {
  const std::lock_guard lock(mutex_);
  const Tar& tar = tar_at(name.tar);
  const auto found = tar.members.find(name.member);
  if (found == tar.members.end()) return std::nullopt;
  return found->second;
}

MediaSource file_or_member(const fs::path& name) {
  const auto place = split_member_name(name);
  if (!place) return MediaSource(name);
  const auto part = ShardMembers().find(*place);
  return part ? part_of_file(*part) : MediaSource(name);
}

}  // namespace cavmae
