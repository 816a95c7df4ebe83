// Which files may be served: those below the folders that a library was made of, and no others, whatever
// links and ".." lead to. Safe from several threads.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cavmae/data/shard_members.h"
#include "cavmae/serve/http.h"

namespace cavmae {

class MediaPaths {
 public:
  // Folders and files; what does not exist (any more) allows nothing.
  explicit MediaPaths(const std::vector<std::filesystem::path>& roots);

  // The roots as they really are, without links.
  const std::vector<std::filesystem::path>& roots() const { return roots_; }
  // Where a path leads to, when that lies in a root; else empty.
  std::filesystem::path canonical_inside(const std::filesystem::path& path) const;
  // Opens an ordinary file, or a member of a tar, "x.tar/clip.mp4". What its path means is decided once: no
  // link is followed after it was compared with the roots. Throws HttpError 404 where it lies outside of all
  // roots, is gone, or is no file.
  std::shared_ptr<const OpenFile> open(const std::filesystem::path& path) const;

 private:
  std::shared_ptr<const OpenFile> open_member(const MemberName& name) const;

  std::vector<std::filesystem::path> roots_;
  std::unique_ptr<ShardMembers> members_ = std::make_unique<ShardMembers>();
};

// "video/mp4" by a name's extension; "application/octet-stream" of what no browser knows.
std::string media_type_of(const std::filesystem::path& path);

}  // namespace cavmae
