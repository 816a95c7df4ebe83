#include "cavmae/data/shard_index.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/json_text.h"
#include "cavmae/core/text.h"
#include "cavmae/data/media_files.h"
#include "cavmae/media/media_source.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

constexpr const char* kIndexFormat = "cavmae shard index";
constexpr int kIndexVersion = 1;
constexpr int64_t kMaxJsonBytes = 1 << 20;
// What a sample's facts call its members.
constexpr const char* kMemberKeys[] = {"path", "audio", "image", "frames"};

// Where the first dot of the file's name stands; the name's end where there is none.
size_t end_of_key(std::string_view name) {
  const size_t slash = name.rfind('/');
  return std::min(name.find('.', slash == std::string_view::npos ? 0 : slash), name.size());
}

// A name that begins with a dot has no extension.
MediaKind kind_of(const TarMember& member) {
  return media_kind("x" + member.name);
}

Json read_facts(const MediaBytes& tar, const TarMember& member) {
  std::string text(static_cast<size_t>(std::min(member.size, kMaxJsonBytes)), '\0');
  text.resize(tar.read_at(member.offset, text.data(), text.size()));
  const Json facts = Json::parse(text, /*cb=*/nullptr, /*allow_exceptions=*/false);
  return facts.is_object() ? facts : Json::object();
}

// Text under a key, whatever else other programs put there.
std::string text_at(const Json& facts, const char* key) {
  const auto value = facts.find(key);
  return value != facts.end() && value->is_string() ? value->get<std::string>() : "";
}

std::optional<double> seconds_at(const Json& facts, const char* key) {
  const auto value = facts.find(key);
  if (value == facts.end() || !value->is_number() || value->get<double>() < 0) return std::nullopt;
  return value->get<double>();
}

// The number in ".3.jpg"; -1 of ".jpg".
int64_t number_of(const std::string& extension) {
  const size_t last = extension.rfind('.');
  if (last == 0 || last == std::string::npos) return -1;
  char* end = nullptr;
  const std::string digits = extension.substr(1, last - 1);
  const int64_t number = std::strtoll(digits.c_str(), &end, 10);
  return end == digits.c_str() + digits.size() ? number : -1;
}

// What the facts say of the members.
void assign_as_stated(const ShardSample& sample, ListedClip& clip) {
  clip.path = text_at(sample.facts, "path");
  clip.audio = text_at(sample.facts, "audio");
  clip.video = text_at(sample.facts, "image");
  if (const auto frames = sample.facts.find("frames"); frames != sample.facts.end() && frames->is_array())
    for (const Json& frame : *frames)
      if (frame.is_string()) clip.frames.push_back(frame.get<std::string>());
}

void assign_by_extension(const ShardSample& sample, ListedClip& clip, const std::string& where) {
  std::vector<std::string> videos, sounds, pictures;
  for (const TarMember& member : sample.members) {
    const MediaKind kind = kind_of(member);
    if (kind == MediaKind::video) videos.push_back(member.name);
    if (kind == MediaKind::audio) sounds.push_back(member.name);
    if (kind == MediaKind::picture) pictures.push_back(member.name);
  }
  CAVMAE_CHECK_AS(DataError, videos.size() + sounds.size() + pictures.size() > 0, where,
                  "has no sound, video or picture");
  CAVMAE_CHECK_AS(DataError, videos.size() <= 1 && sounds.size() <= 1 && (videos.empty() || pictures.empty()),
                  where, "has ", videos.size(), " videos, ", sounds.size(), " sounds and ", pictures.size(),
                  " pictures; a clip is one video, or one sound and its pictures");
  if (!videos.empty() && sounds.empty()) {
    clip.path = videos[0];
    return;
  }
  if (!sounds.empty() && videos.empty() && pictures.empty()) {
    clip.path = sounds[0];
    return;
  }
  if (!sounds.empty()) clip.audio = sounds[0];
  if (!videos.empty()) clip.video = videos[0];
  if (pictures.size() == 1) clip.video = pictures[0];
  if (pictures.size() < 2) return;
  std::ranges::stable_sort(pictures, {}, number_of);
  clip.frames = pictures;
}

// Nothing where the index is damaged, of another version, or of a tar whose stamp does not fit.
std::optional<std::vector<ShardSample>> parse(std::istream& in,
                                              const std::function<bool(const std::string&)>& fits) {
  const auto json_of = [](const std::string& text) {
    return Json::parse(text, /*cb=*/nullptr, /*allow_exceptions=*/false);
  };
  std::string line;
  if (!std::getline(in, line)) return std::nullopt;
  const Json head = json_of(line);
  if (!head.is_object() || text_at(head, "format") != kIndexFormat ||
      head.value("version", 0) != kIndexVersion || !fits(text_at(head, "tar")))
    return std::nullopt;
  std::vector<ShardSample> samples;
  try {
    while (std::getline(in, line)) {
      const Json json = json_of(line);
      ShardSample sample{.key = json.at("key").get<std::string>(), .members = {}, .facts = json.at("facts")};
      for (const Json& member : json.at("members"))
        sample.members.push_back({.name = member.at(0).get<std::string>(),
                                  .offset = member.at(1).get<int64_t>(),
                                  .size = member.at(2).get<int64_t>()});
      samples.push_back(std::move(sample));
    }
    if (samples.size() != head.at("samples").get<size_t>()) return std::nullopt;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
  return samples;
}

}  // namespace

std::vector<ShardSample> samples_of(const MediaBytes& tar, const std::vector<TarMember>& members) {
  std::vector<ShardSample> samples;
  for (const TarMember& member : members) {
    const size_t end = end_of_key(member.name);
    const std::string key = member.name.substr(0, end), extension = member.name.substr(end);
    if (samples.empty() || samples.back().key != key) samples.push_back({.key = key, .members = {}});
    samples.back().members.push_back({.name = extension, .offset = member.offset, .size = member.size});
    if (extension == ".json") samples.back().facts = read_facts(tar, member);
  }
  // What lies between samples and is none: a README, a list.
  std::erase_if(samples, [](const ShardSample& sample) {
    const bool names_members =
        std::ranges::any_of(kMemberKeys, [&](const char* key) { return sample.facts.contains(key); });
    return !names_members && std::ranges::all_of(sample.members, [](const TarMember& member) {
      return kind_of(member) == MediaKind::unknown;
    });
  });
  return samples;
}

ListedClip clip_of_sample(const ShardSample& sample, const std::string& tar) {
  const std::string where = concat(tar, ": the sample '", printable(sample.key), "' ");
  ListedClip clip;
  assign_as_stated(sample, clip);
  const bool is_stated =
      !clip.path.empty() || !clip.audio.empty() || !clip.video.empty() || !clip.frames.empty();
  const auto is_member = [&](const std::string& name) {
    return name.empty() || std::ranges::find(sample.members, name, &TarMember::name) != sample.members.end();
  };
  const bool is_ours = is_stated && is_member(clip.path) && is_member(clip.audio) && is_member(clip.video) &&
                       std::ranges::all_of(clip.frames, is_member);
  if (!is_ours) {  // keys of the same names in another program's .json mean something else
    clip.clear();
    assign_by_extension(sample, clip, where);
  }
  for (std::string* name : {&clip.path, &clip.audio, &clip.video})
    if (!name->empty()) name->insert(0, sample.key);
  for (std::string& name : clip.frames) name.insert(0, sample.key);
  clip.id = text_at(sample.facts, "id");
  if (const auto labels = sample.facts.find("labels"); labels != sample.facts.end()) {
    if (labels->is_string()) clip.label_text = labels->get<std::string>();
    if (labels->is_array())
      for (const Json& label : *labels)
        if (label.is_string()) clip.labels.push_back(label.get<std::string>());
  }
  clip.start_seconds = seconds_at(sample.facts, "start_seconds");
  if (clip.start_seconds) clip.end_seconds = seconds_at(sample.facts, "end_seconds");
  return clip;
}

fs::path shard_index_path(const fs::path& tar) {
  return tar.string() + ".index.jsonl";
}

std::optional<std::vector<ShardSample>> read_shard_index(const fs::path& tar) {
  return read_kept_index(shard_index_path(tar), MediaSource(tar).stamp());
}

std::optional<std::vector<ShardSample>> parse_shard_index(const std::string& text, const TarOnServer& tar) {
  std::istringstream in(text);
  return parse(in, [&](const std::string& stamp) {  // of a file: bytes:seconds.nanoseconds
    const bool kept_its_time = tar.modified && stamp.starts_with(concat(tar.bytes, ":", *tar.modified, "."));
    const bool is_newer = tar.modified && tar.index_modified && *tar.modified > *tar.index_modified;
    return stamp.starts_with(concat(tar.bytes, ":")) && (kept_its_time || !is_newer);
  });
}

void write_shard_index(const fs::path& tar, const std::vector<ShardSample>& samples) {
  write_kept_index(shard_index_path(tar), MediaSource(tar).stamp(), samples);
}

std::optional<std::vector<ShardSample>> read_kept_index(const fs::path& index, const std::string& stamp) {
  std::ifstream in(index);
  return in ? parse(in, [&](const std::string& found) { return found == stamp; }) : std::nullopt;
}

void write_kept_index(const fs::path& index, const std::string& stamp,
                      const std::vector<ShardSample>& samples) {
  std::string text = to_text(Json{{"format", kIndexFormat},
                                  {"version", kIndexVersion},
                                  {"tar", stamp},
                                  {"samples", samples.size()}}) +
                     "\n";
  for (const ShardSample& sample : samples) {
    Json members = Json::array();
    for (const TarMember& member : sample.members)
      members.push_back({member.name, member.offset, member.size});
    text +=
        to_text(Json{{"key", sample.key}, {"members", std::move(members)}, {"facts", sample.facts}}) + "\n";
  }
  write_file(index, text);
}

}  // namespace cavmae
