// From the name of a tar, here or on a server, to the clips in it.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/data/listed_clip.h"
#include "cavmae/data/shard.h"
#include "cavmae/data/shard_index.h"
#include "cavmae/storage/remote_client.h"

namespace cavmae {

// A shard and the clips that its samples make, whose paths are names of members.
struct ShardContents {
  std::shared_ptr<const Shard> shard;
  std::vector<ListedClip> clips;
};

struct ShardOptions {
  // Where copies of tars from servers are kept, made when they are listed; empty: parts are fetched as they
  // are read.
  std::filesystem::path cache_dir = {};
  // Where indices are kept that were made of tars on servers, which are read through for them; empty:
  // nowhere.
  std::filesystem::path index_dir = {};
  RemoteOptions remote = {};
};

// Reads shards of one data set, which share connections. One owner.
class ShardReader {
 public:
  // `log` outlives it.
  ShardReader(ShardOptions options, Log& log);

  // Reads the index beside the tar, TAR.index.jsonl; where it is missing or belongs to another version of the
  // tar, the tar's headers are read and the index is written, beside a file, else in index_dir (the log says
  // where that is not possible). `name`: a path, or what is_remote() takes. Throws DataError as scan_tar()
  // does, for samples that are no clips, and for what a server refuses.
  ShardContents read(const std::string& name);

  // The shards in a folder of a server: those of its shards.json, or all objects of s3:// that end with .tar.
  std::vector<std::string> list(const std::string& folder);

 private:
  const RemoteClient& client();
  // `name`: what the shard is called; a copy is called as what it is of.
  ShardContents read_file(const std::filesystem::path& tar, const std::string& name);
  ShardContents read_remote(const std::string& name);
  std::optional<std::vector<ShardSample>> read_remote_index(const std::string& name,
                                                            const RemoteFacts& facts);
  std::vector<ShardSample> read_made_index(const std::string& name, const RemoteFacts& facts,
                                           const MediaSource& tar);
  std::filesystem::path copy(const std::string& name);

  ShardOptions options_;
  Log& log_;
  bool keeps_indices_ = true;                   // until it was seen that index_dir takes none
  std::shared_ptr<const RemoteClient> client_;  // once something remote was asked for
};

// Of a folder that pack_clips() writes into: says in the log when it was not finished, or lacks shards.
void check_pack_counts(const std::filesystem::path& folder, Log& log);

}  // namespace cavmae
