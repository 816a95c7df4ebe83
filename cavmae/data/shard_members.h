// Members of tar shards by what their sources are called, "x.tar/clip.mp4". Safe from several threads.
#pragma once

#include <filesystem>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "cavmae/media/media_source.h"

namespace cavmae {

struct MemberName {
  std::filesystem::path tar;
  std::string member;
};
// Nothing where the path does not lead through a file.
std::optional<MemberName> split_member_name(const std::filesystem::path& name);

// Where members lie: by the index beside the tar, or the tar's headers where it has none.
class ShardMembers {
 public:
  // Nothing: the tar has no such member. Throws DataError as scan_tar() does.
  std::optional<FilePart> find(const MemberName& name);

 private:
  struct Tar {
    std::filesystem::path file;
    std::string stamp;
    std::unordered_map<std::string, FilePart> members;
  };
  const Tar& tar_at(const std::filesystem::path& file);

  std::mutex mutex_;
  std::list<Tar> tars_;  // the last that were asked for, the latest first
};

// A file, or a member of a tar on the disk; where neither is there, a source whose reading fails.
MediaSource file_or_member(const std::filesystem::path& name);

}  // namespace cavmae
