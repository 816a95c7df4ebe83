#include "cavmae/data/shard_reader.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "cavmae/core/error.h"
#include "cavmae/core/file_lock.h"
#include "cavmae/core/files.h"
#include "cavmae/core/json.h"
#include "cavmae/core/progress.h"
#include "cavmae/core/secrets.h"
#include "cavmae/core/text.h"
#include "cavmae/data/remote_source.h"
#include "cavmae/data/shard_names.h"
#include "cavmae/storage/remote_url.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

bool takes(const ListedClip& clip, const std::string& member) {
  return member == clip.path || member == clip.audio || member == clip.video ||
         std::ranges::find(clip.frames, member) != clip.frames.end();
}

ShardContents contents_of(const std::string& name, const std::vector<ShardSample>& samples,
                          Shard::Part part) {
  CAVMAE_CHECK_AS(DataError, !samples.empty(), name, ": holds no clip");
  ShardContents contents;
  std::vector<TarMember> members;
  for (const ShardSample& sample : samples) {
    const ListedClip& clip = contents.clips.emplace_back(clip_of_sample(sample, name));
    for (const TarMember& member : sample.members)
      if (std::string full = sample.key + member.name; takes(clip, full))
        members.push_back({.name = std::move(full), .offset = member.offset, .size = member.size});
  }
  contents.shard = std::make_shared<const Shard>(name, std::move(members), std::move(part));
  return contents;
}

// Where an index of a tar on a server is kept, and what tells whether it is of that tar. No file: the server
// says nothing by which a changed tar would be seen.
struct KeptIndex {
  fs::path file;
  std::string stamp;
};

KeptIndex kept_index(const fs::path& folder, const std::string& name, const RemoteFacts& facts) {
  if (folder.empty() || (facts.etag.empty() && facts.modified.empty())) return {};
  // What a URL asks for may be a key to the file: it is a part of the hash alone.
  const std::string shown = url_without_password(name.substr(0, name.find('?')));
  return {.file = folder / fmt::format("{:016x}{}", stable_hash(name), shard_index_path("").string()),
          .stamp = concat(shown, " ", facts.size, " ", facts.stamp())};
}

}  // namespace

ShardReader::ShardReader(ShardOptions options, Log& log) : options_(std::move(options)), log_(log) {}

const RemoteClient& ShardReader::client() {
  // A copy of the log, which shares where it goes: the clips may outlive it.
  if (!client_) client_ = std::make_shared<const RemoteClient>(options_.remote, std::make_shared<Log>(log_));
  return *client_;
}

ShardContents ShardReader::read(const std::string& name) {
  if (!is_remote(name)) return read_file(name, name);
  try {
    return options_.cache_dir.empty() ? read_remote(name) : read_file(copy(name), name);
  } catch (const StorageError& error) {
    throw DataError(error.what());
  }
}

ShardContents ShardReader::read_file(const fs::path& tar, const std::string& name) {
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
  return contents_of(name, *samples, [tar](int64_t offset, int64_t size, std::string shown) {
    return part_of_file({.file = tar, .offset = offset, .size = size, .name = std::move(shown)});
  });
}

std::optional<std::vector<ShardSample>> ShardReader::read_remote_index(const std::string& name,
                                                                       const RemoteFacts& facts) {
  constexpr int64_t kMaxIndexBytes = 1 << 30;
  std::string text;
  RemoteFacts of_index;
  try {
    text = client().read_all(shard_index_path(name).string(), kMaxIndexBytes, &of_index);
  } catch (const StorageError& error) {
    if (!error.is_refusal()) throw;
    log_.info("{}: has no index beside it", name);
    return std::nullopt;
  }
  auto samples = parse_shard_index(text, {.bytes = facts.size,
                                          .modified = facts.modified_seconds(),
                                          .index_modified = of_index.modified_seconds()});
  if (!samples)
    log_.warn(
        "{}: the index beside it is damaged, of another tar or older than this one, and is not used; put "
        "there the index that belongs to it, after the tar",
        name);
  return samples;
}

ShardContents ShardReader::read_remote(const std::string& name) {
  const RemoteFacts facts = client().facts(name);
  auto samples = read_remote_index(name, facts);
  const auto part = [client = client_, name, facts](int64_t offset, int64_t size, std::string shown) {
    return part_of_remote(
        client, {.file = name, .facts = facts, .offset = offset, .size = size, .name = std::move(shown)});
  };
  if (!samples) samples = read_made_index(name, facts, part(0, facts.size, name));
  return contents_of(name, *samples, part);
}

// The index that an earlier start has made of the tar, which takes reading all its headers, or a new one.
std::vector<ShardSample> ShardReader::read_made_index(const std::string& name, const RemoteFacts& facts,
                                                      const MediaSource& tar) {
  const auto make = [&] {
    log_.info("{}: reading what it holds", name);
    const auto bytes = tar.open();
    return samples_of(*bytes, scan_tar(*bytes, name));
  };
  const KeptIndex kept = kept_index(options_.index_dir, name, facts);
  if (kept.file.empty()) return make();
  if (auto samples = read_kept_index(kept.file, kept.stamp)) return std::move(*samples);
  std::optional<FileLock> lock;  // ranks of one machine make it once
  const auto try_to_keep = [&](const std::function<void()>& step) {
    if (!keeps_indices_) return;
    try {
      step();
    } catch (const Error& error) {
      keeps_indices_ = false;
      log_.warn("what shards on servers hold cannot be kept ({}); they are read through at each start",
                error.what());
    }
  };
  try_to_keep([&] {
    make_directories(options_.index_dir);
    lock.emplace(kept.file.string() + ".lock");
  });
  if (lock)
    if (auto samples = read_kept_index(kept.file, kept.stamp)) return std::move(*samples);
  std::vector<ShardSample> samples = make();
  try_to_keep([&] { write_kept_index(kept.file, kept.stamp, samples); });
  return samples;
}

// A copy is whole when it has its name, which the tar's stamp is a part of.
fs::path ShardReader::copy(const std::string& name) {
  const RemoteFacts facts = client().facts(name);
  const std::string file = name.substr(name.rfind('/') + 1);
  const fs::path tar =
      options_.cache_dir / fmt::format("{:016x}-{}", stable_hash(concat(name, "\n", facts.stamp())), file);
  make_directories(options_.cache_dir);
  const FileLock lock(tar.string() + ".lock");  // ranks of one machine share the copy
  std::error_code failed;
  if (fs::is_regular_file(tar, failed)) return tar;
  log_.info("copying {} ({})", name, human_bytes(static_cast<double>(facts.size)));
  Progress progress({.title = "copying " + file,
                     .unit = "bytes",
                     .total = facts.size,
                     .quiet = !log_.should_log(spdlog::level::info)});
  client().download(name, facts, tar, [&](int64_t bytes) { progress.update(bytes); });
  return tar;
}

std::vector<std::string> ShardReader::list(const std::string& folder) {
  constexpr int64_t kMaxBytes = 256 << 20;
  std::string base = folder;
  while (base.ends_with('/')) base.pop_back();
  std::vector<std::string> names;
  try {
    const std::string file = concat(base, "/", kShardCountsFile);
    const Json counts = parse_json(client().read_all(file, kMaxBytes), file);
    for (const Json& shard : counts.value("shards", Json::array()))
      names.push_back(concat(base, "/", shard.value("file", "")));
    return names;
  } catch (const StorageError& error) {
    CAVMAE_CHECK_AS(DataError, error.is_refusal() && folder.starts_with("s3://"), "--data ", folder,
                    ": its shards cannot be told: ", error.what(), "; name them: '", base,
                    "/{000000..000099}.tar'");
  }
  std::string compressed;
  try {
    for (const std::string& name : client().list(base + "/"))
      if (names_shards(name))
        names.push_back(name);
      else if (compressed.empty() && !unpacking_of_name(name).empty())
        compressed = name;
  } catch (const StorageError& error) {
    throw DataError(error.what());
  }
  CAVMAE_CHECK_AS(DataError, !names.empty() || compressed.empty(), "--data ", compressed, ": ",
                  why_no_compressed_shard(unpacking_of_name(compressed)));
  CAVMAE_CHECK_AS(DataError, !names.empty(), "--data ", folder, ": holds no .tar");
  return names;
}

void check_pack_counts(const fs::path& folder, Log& log) {
  std::error_code failed;
  const fs::path file = folder / kShardCountsFile;
  if (!fs::is_regular_file(file, failed)) return;
  const Json counts = read_json(file);
  if (!counts.is_object() || !counts.contains("made_of")) return;
  for (const Json& shard : counts.value("shards", Json::array()))
    CAVMAE_CHECK_AS(DataError, fs::exists(folder / shard.value("file", ""), failed), folder.string(),
                    ": lacks ", shard.value("file", ""), ", which its ", kShardCountsFile,
                    " names; copy it there, pack again, or name the shards that are to be read");
  const int64_t clips = counts["made_of"].value("clips", int64_t{0});
  const int64_t there = counts.value("samples", int64_t{0}) +
                        static_cast<int64_t>(counts.value("failed", Json::array()).size());
  if (there < clips)
    log.warn("{}: holds {} of {} clips; cavmae pack did not finish, and goes on when it is run again",
             folder.string(), there, clips);
}

}  // namespace cavmae
