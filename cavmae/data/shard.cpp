#include "cavmae/data/shard.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/json.h"
#include "cavmae/core/text.h"
#include "cavmae/data/remote_source.h"
#include "cavmae/data/shard_index.h"
#include "cavmae/storage/remote_url.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kMaxShards = 1'000'000;

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 9 &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// Appends the names that `text` stands for, its first range expanded, then the rest.
void expand(const std::string& text, std::vector<std::string>& out) {
  const size_t open = text.find('{'), close = text.find('}', open);
  if (open == std::string::npos) {
    out.emplace_back(text);
    return;
  }
  const auto fail = [&](const char* why) {
    throw DataError(concat("--data ", text, ": ", why, "; a range of shards is written {000..012}"));
  };
  if (close == std::string::npos) fail("'{' has no '}'");
  const std::string range = text.substr(open + 1, close - open - 1);
  const size_t dots = range.find("..");
  const std::string first = range.substr(0, dots),
                    last = dots == std::string::npos ? "" : range.substr(dots + 2);
  if (!is_number(first) || !is_number(last)) fail("the braces hold no range of numbers");
  const int64_t begin = std::stoll(first), end = std::stoll(last);
  if (begin > end) fail("the range runs backwards");
  for (int64_t i = begin; i <= end; ++i) {
    CAVMAE_CHECK_AS(DataError, static_cast<int64_t>(out.size()) < kMaxShards, "--data ", text,
                    ": names more than ", kMaxShards, " shards");
    expand(concat(text.substr(0, open), fmt::format("{:0{}}", i, first.size()), text.substr(close + 1)), out);
  }
}

ShardContents contents_of(const std::string& name, const std::vector<ShardSample>& samples,
                          Shard::Part part) {
  CAVMAE_CHECK_AS(DataError, !samples.empty(), name, ": holds no clip");
  ShardContents contents;
  std::vector<TarMember> members;
  for (const ShardSample& sample : samples) {
    contents.clips.push_back(clip_of_sample(sample, name));
    for (const TarMember& member : sample.members)
      members.push_back({.name = sample.key + member.name, .offset = member.offset, .size = member.size});
  }
  contents.shard = std::make_shared<const Shard>(name, std::move(members), std::move(part));
  return contents;
}

}  // namespace

Shard::Shard(std::string name, std::vector<TarMember> members, Part part)
    : name_(std::move(name)), members_(std::move(members)), part_(std::move(part)) {
  std::ranges::sort(members_, {}, &TarMember::name);
  const auto twice = std::ranges::adjacent_find(members_, {}, &TarMember::name);
  CAVMAE_CHECK_AS(DataError, twice == members_.end(), name_, ": two members are called '",
                  printable(twice->name), "'");
}

MediaSource Shard::source(std::string_view member) const {
  const auto found = std::ranges::lower_bound(members_, member, {},
                                              [](const TarMember& m) { return std::string_view(m.name); });
  const bool is_there = found != members_.end() && found->name == member;
  const TarMember nowhere{.name = {}, .offset = std::numeric_limits<int64_t>::max(), .size = 0};
  return part_(is_there ? *found : nowhere, name_ + "/" + std::string(member));
}

ShardReader::ShardReader(ShardOptions options, Log& log) : options_(std::move(options)), log_(log) {}

const RemoteClient& ShardReader::client() {
  // A copy of the log, which shares where it goes: the clips may outlive it.
  if (!client_) client_ = std::make_shared<const RemoteClient>(options_.remote, std::make_shared<Log>(log_));
  return *client_;
}

ShardContents ShardReader::read(const std::string& name) {
  if (!is_remote(name)) return read_file(name);
  try {
    return options_.cache_dir.empty() ? read_remote(name) : read_file(copy(name));
  } catch (const StorageError& error) {
    throw DataError(error.what());
  }
}

ShardContents ShardReader::read_file(const fs::path& tar) {
  auto samples = read_shard_index(tar);
  if (!samples) {
    log_.info("{}: reading what it holds", tar.string());
    const auto bytes = MediaSource(tar).open();
    samples = samples_of(*bytes, scan_tar(*bytes, tar.string()));
    try {
      write_shard_index(tar, *samples);
    } catch (const Error& error) {
      log_.warn("the index of the shard cannot be kept ({}); it is made anew each time", error.what());
    }
  }
  return contents_of(tar.string(), *samples, [tar](const TarMember& place, std::string name) {
    return part_of_file({.file = tar, .offset = place.offset, .size = place.size, .name = std::move(name)});
  });
}

ShardContents ShardReader::read_remote(const std::string& name) {
  constexpr int64_t kMaxIndexBytes = 1 << 30;
  const RemoteFacts facts = client().facts(name);
  std::optional<std::vector<ShardSample>> samples;
  try {
    samples =
        parse_shard_index(client().read_all(shard_index_path(name).string(), kMaxIndexBytes), facts.size);
  } catch (const StorageError& error) {
    log_.info("{}: has no index beside it ({})", name, error.what());
  }
  const std::shared_ptr<const RemoteClient> client = client_;
  const auto part = [client, name, stamp = facts.stamp](const TarMember& place, std::string shown) {
    return part_of_remote(
        client,
        {.file = name, .stamp = stamp, .offset = place.offset, .size = place.size, .name = std::move(shown)});
  };
  if (!samples) {
    log_.info("{}: reading what it holds", name);
    const auto bytes = part({.name = name, .offset = 0, .size = facts.size}, name).open();
    samples = samples_of(*bytes, scan_tar(*bytes, name));
  }
  return contents_of(name, *samples, part);
}

// A copy is whole when it has its name, which the tar's stamp is a part of.
fs::path ShardReader::copy(const std::string& name) {
  const RemoteFacts facts = client().facts(name);
  const size_t slash = name.rfind('/');
  const fs::path tar = options_.cache_dir / fmt::format("{:016x}-{}", stable_hash(name + "\n" + facts.stamp),
                                                        name.substr(slash + 1));
  std::error_code failed;
  if (fs::is_regular_file(tar, failed)) return tar;
  make_directories(options_.cache_dir);
  log_.info("copying {} ({})", name, human_bytes(static_cast<double>(facts.size)));
  client().download(name, tar);
  return tar;
}

std::vector<std::string> ShardReader::list(const std::string& folder) {
  constexpr int64_t kMaxBytes = 256 << 20;
  std::string base = folder;
  while (base.ends_with('/')) base.pop_back();
  std::vector<std::string> names;
  try {
    const Json counts =
        parse_json(client().read_all(base + "/shards.json", kMaxBytes), base + "/shards.json");
    for (const Json& shard : counts.value("shards", Json::array()))
      names.push_back(base + "/" + shard.value("file", ""));
    return names;
  } catch (const StorageError& error) {
    CAVMAE_CHECK_AS(DataError, folder.starts_with("s3://"), "--data ", folder,
                    ": its shards cannot be told: ", error.what(), "; name them: '", base,
                    "/{000000..000099}.tar'");
  }
  try {
    for (const std::string& name : client().list(base + "/"))
      if (names_shards(name)) names.push_back(name);
  } catch (const StorageError& error) {
    throw DataError(error.what());
  }
  CAVMAE_CHECK_AS(DataError, !names.empty(), "--data ", folder, ": holds no .tar");
  return names;
}

std::vector<std::string> expand_shards(const std::string& text) {
  std::vector<std::string> out;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find("::", begin), text.size());
    if (end > begin) expand(text.substr(begin, end - begin), out);
    begin = end + 2;
  }
  return out;
}

bool names_shards(std::string_view text) {
  return lower(text).ends_with(".tar");
}

}  // namespace cavmae
