#include "cavmae/data/compact_clips.h"

#include <cstring>

#include "cavmae/core/error.h"
#include "cavmae/data/media_files.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

// What a clip's bytes begin with: which parts follow.
enum Part : unsigned char {
  kAudio = 1,
  kVideo = 2,
  kOneFile = 4,
  kFrames = 8,
  kFrameFolder = 16,
  kStart = 32,
  kEnd = 64,
};

class Unpacker {
 public:
  explicit Unpacker(const char* at) : at_(at) {}

  unsigned char byte() { return static_cast<unsigned char>(*at_++); }
  // Seven bits a byte, the lowest first.
  uint64_t number() {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const unsigned char next = byte();
      value |= uint64_t{next & 0x7fu} << shift;
      if (next < 0x80) return value;
    }
  }
  PackedFile file() {
    PackedFile out{.folder = static_cast<uint32_t>(number()), .name = {}};
    const size_t length = number();
    out.name = {at_, length};
    at_ += length;
    return out;
  }
  double real() {
    double value = 0;
    std::memcpy(&value, at_, sizeof(value));
    at_ += sizeof(value);
    return value;
  }

 private:
  const char* at_;
};

}  // namespace

void CompactClips::append_number(uint64_t number) {
  for (; number >= 0x80; number >>= 7) bytes_ += static_cast<char>(number | 0x80);
  bytes_ += static_cast<char>(number);
}

void CompactClips::append(const PackedFile& file) {
  append_number(file.folder);
  append_number(file.name.size());
  bytes_ += file.name;
}

void CompactClips::add(const PackedClip& clip, uint32_t id, uint32_t label_set) {
  begin_.push_back(bytes_.size());
  id_.push_back(id);
  label_set_.push_back(label_set);
  bytes_ += static_cast<char>((clip.audio ? kAudio : 0) | (clip.video ? kVideo : 0) |
                              (clip.is_one_file ? kOneFile : 0) | (clip.frames.empty() ? 0 : kFrames) |
                              (clip.frame_folder ? kFrameFolder : 0) | (clip.start_seconds ? kStart : 0) |
                              (clip.end_seconds ? kEnd : 0));
  if (clip.audio) append(*clip.audio);
  if (clip.video) append(*clip.video);
  if (!clip.frames.empty()) append_number(clip.frames.size());
  for (const PackedFile& frame : clip.frames) append(frame);
  if (clip.frame_folder) append_number(*clip.frame_folder);
  for (const auto& seconds : {clip.start_seconds, clip.end_seconds})
    if (seconds) bytes_.append(reinterpret_cast<const char*>(&*seconds), sizeof(double));
}

PackedClip CompactClips::packed(size_t i) const {
  Unpacker in(bytes_.data() + begin_[i]);
  const unsigned char parts = in.byte();
  PackedClip clip;
  clip.is_one_file = (parts & kOneFile) != 0;
  if (parts & kAudio) clip.audio = in.file();
  if (parts & kVideo) clip.video = in.file();
  if (parts & kFrames) clip.frames.resize(in.number());
  for (PackedFile& frame : clip.frames) frame = in.file();
  if (parts & kFrameFolder) clip.frame_folder = static_cast<uint32_t>(in.number());
  if (parts & kStart) clip.start_seconds = in.real();
  if (parts & kEnd) clip.end_seconds = in.real();
  return clip;
}

void CompactClips::set_shard(uint32_t folder, std::shared_ptr<const Shard> shard) {
  shards_[folder] = std::move(shard);
}

MediaSource CompactClips::source(const PackedFile& file) const {
  const auto shard = shards_.find(file.folder);
  if (shard == shards_.end()) return fs::path(path_of(file));
  const size_t above = shard->second->name().size() + 1;
  return shard->second->source(path_of(file).substr(above));
}

ClipSource CompactClips::clip(size_t i) const {
  CAVMAE_CHECK(i < size(), "clip ", i, " of ", size());
  const PackedClip packed_clip = packed(i);
  ClipSource out;
  out.id = id(i);
  if (packed_clip.audio) out.audio = source(*packed_clip.audio);
  if (packed_clip.is_one_file) out.video = out.audio;
  if (packed_clip.video) out.video = source(*packed_clip.video);
  for (const PackedFile& frame : packed_clip.frames) out.frames.push_back(source(frame));
  for (int n = 0; packed_clip.frame_folder && n < kAuthorsFrames; ++n)
    out.frames.emplace_back(
        fs::path(concat(folders_[*packed_clip.frame_folder], "frame_", n, "/", out.id, ".jpg")));
  out.labels = labels(i);
  out.start_seconds = packed_clip.start_seconds;
  out.end_seconds = packed_clip.end_seconds;
  return out;
}

PromisedModalities CompactClips::promised(size_t i) const {
  const PackedClip clip = packed(i);
  if (!clip.is_one_file)
    return {.audio = clip.audio.has_value(),
            .video = clip.video.has_value() || !clip.frames.empty() || clip.frame_folder.has_value()};
  const MediaKind kind = media_kind(clip.audio->name);
  return {.audio = kind != MediaKind::picture, .video = kind != MediaKind::audio};
}

void CompactClips::remove(const std::vector<bool>& marked) {
  size_t kept = 0;
  for (size_t i = 0; i < size(); ++i) {
    if (marked[i]) continue;
    begin_[kept] = begin_[i];
    id_[kept] = id_[i];
    label_set_[kept++] = label_set_[i];
  }
  begin_.resize(kept);
  id_.resize(kept);
  label_set_.resize(kept);
}

void CompactClips::freeze() {
  bytes_.shrink_to_fit();
  begin_.shrink_to_fit();
  id_.shrink_to_fit();
  label_set_.shrink_to_fit();
  folders_.freeze();
  ids_.freeze();
}

}  // namespace cavmae
