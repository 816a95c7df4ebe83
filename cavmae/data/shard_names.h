// How --data names shards. Free functions; safe from any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cavmae {

// Beside the shards of one pack: how many there are, and of what.
inline constexpr const char* kShardCountsFile = "shards.json";

// Whether --data `text` names shards: it ends with ".tar".
bool names_shards(std::string_view text);

// What unpacks a tar that is called as a compressed one, "x.tar.gz" or "x.tgz": "gzip -d". Empty for others.
std::string_view unpacking_of_name(std::string_view text);

// Why a compressed tar is no shard, and the cure.
std::string why_no_compressed_shard(std::string_view unpacking);

// "a.tar::b.tar" -> its two parts. The colons of an address, http://[::1]/a.tar, part nothing.
std::vector<std::string> part_names(const std::string& text);

// "shards/{000..012}.tar" -> its 13 names. A name without braces is one. Throws DataError for braces that are
// no range.
std::vector<std::string> expand_range(const std::string& text);

}  // namespace cavmae
