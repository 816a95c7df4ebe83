// The samples of a shard as they are found in it and kept in its index. Plain values and free functions.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/data/listed_clip.h"
#include "cavmae/data/tar_file.h"
#include "cavmae/media/media_source.h"

namespace cavmae {

struct ShardSample {
  std::string key;                 // what its members' names begin with
  std::vector<TarMember> members;  // called by the rest of their names, which begins with a dot
  Json facts =
      Json::object();  // its .json member: id, labels, start_seconds, end_seconds; which member is what
};

// Members that follow one another and are alike up to the first dot of their file's name. Reads each .json.
std::vector<ShardSample> samples_of(const MediaBytes& tar, const std::vector<TarMember>& members);

// The clip that a sample makes, by what its facts say of its members, else by their extensions: a file with
// both, or a sound and its pictures in order. Throws DataError that names the archive and the sample.
ListedClip clip_of_sample(const ShardSample& sample, const std::string& tar);

std::filesystem::path shard_index_path(const std::filesystem::path& tar);

// The index, where it belongs to the tar as it is now: of its size and time.
std::optional<std::vector<ShardSample>> read_shard_index(const std::filesystem::path& tar);
// A tar and its index on a server: bytes, and when each got there, in seconds since 1970, if the server says
// it.
struct TarOnServer {
  int64_t bytes = 0;
  std::optional<int64_t> modified, index_modified;
};
// The same of an index's text, where it belongs to a tar of that size. What lies on a server need not have
// kept its time: then the index must not be older than the tar.
std::optional<std::vector<ShardSample>> parse_shard_index(const std::string& text, const TarOnServer& tar);
void write_shard_index(const std::filesystem::path& tar, const std::vector<ShardSample>& samples);

// An index that is kept apart from its tar, which somebody else's server has: of the tar of this stamp.
std::optional<std::vector<ShardSample>> read_kept_index(const std::filesystem::path& index,
                                                        const std::string& stamp);
void write_kept_index(const std::filesystem::path& index, const std::string& stamp,
                      const std::vector<ShardSample>& samples);

}  // namespace cavmae
