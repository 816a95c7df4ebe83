// Joins the clips of several lists: resolves their paths, cuts their labels, merges those that are listed
// twice, and gives every clip a name of its own. One owner; not for several threads at once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/data/clip_list.h"
#include "cavmae/data/compact_clips.h"
#include "cavmae/data/label_cut.h"
#include "cavmae/data/list_record.h"
#include "cavmae/data/listed_clip.h"

namespace cavmae {

class ClipListBuilder {
 public:
  // `cut` and `log` outlive it.
  ClipListBuilder(const LabelCut& cut, Log& log)
      : cut_(cut), log_(log), clips_(std::make_shared<CompactClips>()) {}

  // The clips that follow come from this list (or folder, or file). Their relative paths are relative to
  // `base`, and so are the names that they are given.
  void begin_list(const std::string& name, const std::filesystem::path& base, ListPlace::Style style);
  // The clips that follow are of this shard; their paths are its members' names.
  void begin_shard(std::shared_ptr<const Shard> shard);
  // Tells the log how labels of the list were cut.
  void end_list();

  // Throws DataError that names the place for labels or an id that are no UTF-8 text, for a zero byte in any
  // text, and for labels that are a list in a programming language's notation.
  void add(const ListedClip& clip);

  size_t size() const { return clips_->size(); }
  // Of a clip that was added; it may have no id yet.
  ClipSource clip(size_t i) const { return clips_->clip(i); }
  // Where it was named, for errors.
  std::string place(size_t i) const;

  // All clips. Throws DataError that names every id that was given to different clips, and every clip that
  // was listed with different labels.
  ClipList finish();

 private:
  struct List {
    std::string name, base;
    ListPlace::Style style;
    std::string prefix = {};  // of its entries in asked_folders_
    uint32_t base_folder = 0;
    std::shared_ptr<const Shard> shard = nullptr;
  };
  // What is known of a text of labels, or of a list of them.
  struct KnownLabels {
    uint32_t set;
    LabelCut::Outcome outcome;
  };
  // How a list's labels were cut.
  struct CutCount {
    int64_t parted = 0, with_comma = 0, with_bar = 0;
    std::string parted_text, comma_text, bar_text, first, second;
  };

  // Throws DataError where the text is no UTF-8 or holds a zero byte.
  void check_word(std::string_view word, const char* what, const ListedClip& clip) const;
  void check_path(std::string_view path, const ListedClip& clip) const;
  std::string place(const ListedClip& clip) const;
  PackedFile pack(std::string_view path, const ListedClip& clip);
  uint32_t folder(std::string_view relative);
  uint32_t label_set(const ListedClip& clip);
  KnownLabels learn(const ListedClip& clip);
  void count_cut(LabelCut::Outcome outcome, const ListedClip& clip, uint32_t set);
  void merge_repeated();
  void name_unnamed();
  std::string name_of_length(size_t i, int length) const;
  PackedFile main_file(size_t i) const;
  std::string identity(size_t i) const;
  std::string identity_key(size_t i) const;
  std::string absolute(const PackedFile& file) const;

  const LabelCut& cut_;
  Log& log_;
  std::shared_ptr<CompactClips> clips_;
  std::vector<List> lists_;
  std::vector<uint32_t> list_, number_;  // of each clip: its list, and its line or entry there
  StringPool asked_folders_;             // "LIST/relative", and
  std::vector<uint32_t> found_folders_;  // their folders
  std::vector<uint32_t> absolute_of_;    // of each folder, in absolute_folders_
  StringPool absolute_folders_;
  StringPool label_texts_;
  std::vector<KnownLabels> known_labels_;
  CutCount cuts_;
};

}  // namespace cavmae
