// Clips of lists in little memory: bytes in one block, with names, folders and labels once each. One owner
// while it grows; then immutable and safe from several threads.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cavmae/data/clip_list.h"
#include "cavmae/data/shard.h"
#include "cavmae/data/string_pool.h"

namespace cavmae {

constexpr int kAuthorsFrames = 10;  // frame_0 to frame_9

// A file as two numbers and a text: which folder, and the name in it.
struct PackedFile {
  uint32_t folder = 0;
  std::string_view name;
};

// A clip without its id and labels.
struct PackedClip {
  std::optional<PackedFile> audio, video;
  bool is_one_file = false;  // `audio` stands for both
  std::vector<PackedFile> frames;
  std::optional<uint32_t> frame_folder;  // the authors' FOLDER
  std::optional<double> start_seconds, end_seconds;
};

class CompactClips : public ClipStore {
 public:
  static constexpr uint32_t kUnnamed = std::numeric_limits<uint32_t>::max();

  // Appends a clip. `id` and `label_set` are numbers of ids() and label_sets().
  void add(const PackedClip& clip, uint32_t id, uint32_t label_set);
  PackedClip packed(size_t i) const;

  // Folders as they are shown, each with its "/" at the end or empty.
  StringPool& folders() { return folders_; }
  StringPool& ids() { return ids_; }
  std::vector<std::vector<std::string>>& label_sets() { return label_sets_; }
  const StringPool& folders() const { return folders_; }

  // What lies in the folder, which is called as the shard with what may follow of its members' names, are the
  // shard's members.
  void set_shard(uint32_t folder, std::shared_ptr<const Shard> shard);

  void set_id(size_t i, uint32_t id) { id_[i] = id; }
  uint32_t id_number(size_t i) const { return id_[i]; }
  void set_label_set(size_t i, uint32_t label_set) { label_set_[i] = label_set; }
  uint32_t label_set(size_t i) const { return label_set_[i]; }

  // Leaves out the clips that are marked.
  void remove(const std::vector<bool>& marked);
  // Gives back the memory that only growing needs.
  void freeze();

  std::string path_of(const PackedFile& file) const {
    return std::string(folders_[file.folder]).append(file.name);
  }

  size_t size() const override { return begin_.size(); }
  ClipSource clip(size_t i) const override;
  std::string_view id(size_t i) const override { return id_[i] == kUnnamed ? "" : ids_[id_[i]]; }
  const std::vector<std::string>& labels(size_t i) const override { return label_sets_[label_set_[i]]; }
  PromisedModalities promised(size_t i) const override;

 private:
  void append(const PackedFile& file);
  MediaSource source(const PackedFile& file) const;
  void append_number(uint64_t number);

  std::string bytes_;
  std::vector<uint64_t> begin_;  // of each clip in the bytes
  std::vector<uint32_t> id_, label_set_;
  StringPool folders_, ids_;
  std::unordered_map<uint32_t, std::shared_ptr<const Shard>> shards_;  // by folder
  std::vector<std::vector<std::string>> label_sets_ = {{}};
};

}  // namespace cavmae
