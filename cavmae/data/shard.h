// Clips in tar archives (WebDataset's shards): a sample is the members whose names are alike up to the first
// dot. Which members there are and where they lie is kept in an index beside each tar, so that any clip is
// read by itself. Immutable; safe from several threads.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/data/listed_clip.h"
#include "cavmae/data/tar_file.h"
#include "cavmae/media/media_source.h"
#include "cavmae/storage/remote_client.h"

namespace cavmae {

class Shard {
 public:
  // The source of some bytes of the tar, under a name.
  using Part = std::function<MediaSource(const TarMember& place, std::string name)>;

  // `name`: a path, or where the tar lies on a server. Throws DataError where two members have one name.
  Shard(std::string name, std::vector<TarMember> members, Part part);

  const std::string& name() const { return name_; }
  // The member as a source called "x.tar/clip.mp4"; where there is none, one whose reading fails and names
  // it.
  MediaSource source(std::string_view member) const;

 private:
  std::string name_;
  std::vector<TarMember> members_;  // by name
  Part part_;
};

// A shard and the clips that its samples make, whose paths are names of members.
struct ShardContents {
  std::shared_ptr<const Shard> shard;
  std::vector<ListedClip> clips;
};

struct ShardOptions {
  // Where copies of tars from servers are kept, each made when it is first wanted; empty: parts are fetched
  // as they are read.
  std::filesystem::path cache_dir = {};
  RemoteOptions remote = {};
};

// Shards of one data set, which share connections. One owner.
class ShardReader {
 public:
  // `log` outlives it.
  ShardReader(ShardOptions options, Log& log);

  // Reads the index beside the tar, TAR.index.jsonl; where it is missing or belongs to another version of the
  // tar, the tar's headers are read and, of a file, the index is written (the log says where that is not
  // possible). `name`: a path, or what is_remote() takes. Throws DataError as scan_tar() does, for samples
  // that are no clips, and for what a server refuses.
  ShardContents read(const std::string& name);

  // The shards in a folder of a server: those of its shards.json, or all objects of s3:// that end with .tar.
  std::vector<std::string> list(const std::string& folder);

 private:
  const RemoteClient& client();
  ShardContents read_file(const std::filesystem::path& tar);
  ShardContents read_remote(const std::string& name);
  std::filesystem::path copy(const std::string& name);

  ShardOptions options_;
  Log& log_;
  std::shared_ptr<const RemoteClient> client_;  // once something remote was asked for
};

// "shards/{000..012}.tar" -> its 13 names; '::' parts several. A name without braces is one. Throws DataError
// for braces that are no range.
std::vector<std::string> expand_shards(const std::string& text);

// Whether --data `text` names shards: it ends with ".tar".
bool names_shards(std::string_view text);

}  // namespace cavmae
