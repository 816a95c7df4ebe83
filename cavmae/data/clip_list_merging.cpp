// What a ClipListBuilder does when all clips are there: merging what was listed twice, and names.
#include <algorithm>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"
#include "cavmae/core/utf8.h"
#include "cavmae/data/clip_list_builder.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

template <class T>
void keep_unmarked(std::vector<T>& values, const std::vector<bool>& marked) {
  size_t kept = 0;
  for (size_t i = 0; i < values.size(); ++i)
    if (!marked[i]) values[kept++] = values[i];
  values.resize(kept);
}

// Lines of one error, of which the first few are shown.
class Clashes {
 public:
  template <class... Parts>
  void add(const Parts&... parts) {
    constexpr int64_t kMostLines = 10;
    if (++count_ <= kMostLines) text_ += (count_ == 1 ? "" : "\n  - ") + concat(parts...);
  }
  void throw_if_any() const {
    constexpr const char* kCure = "; every clip needs an id of its own, and all its labels in one place";
    if (count_ == 0) return;
    if (count_ == 1) throw DataError(text_ + kCure);
    throw DataError(concat(count_, " clips clash with others", kCure, ":\n  - ", text_,
                           count_ > 10 ? concat("\n  - and ", count_ - 10, " more") : ""));
  }

 private:
  int64_t count_ = 0;
  std::string text_;
};

// The one set that both stand for: a clip without labels has none to contradict.
std::optional<uint32_t> common_set(const std::vector<std::vector<std::string>>& sets, uint32_t a,
                                   uint32_t b) {
  if (a == b || sets[b].empty()) return a;
  if (sets[a].empty()) return b;
  auto first = sets[a], second = sets[b];
  std::ranges::sort(first);
  std::ranges::sort(second);
  return first == second ? std::optional(a) : std::nullopt;
}

}  // namespace

PackedFile ClipListBuilder::main_file(size_t i) const {
  const PackedClip clip = clips_->packed(i);
  if (clip.audio) return *clip.audio;
  if (clip.video) return *clip.video;
  return clip.frames.empty() ? PackedFile{.folder = clip.frame_folder.value_or(0), .name = {}}
                             : clip.frames[0];
}

std::string ClipListBuilder::absolute(const PackedFile& file) const {
  return std::string(absolute_folders_[absolute_of_[file.folder]]).append(file.name);
}

// As text; the same for two clips with the same content.
std::string ClipListBuilder::identity(size_t i) const {
  const PackedClip clip = clips_->packed(i);
  const PromisedModalities promised = clips_->promised(i);
  const bool one = clip.is_one_file;
  std::string text = clip.audio && (!one || promised.audio) ? absolute(*clip.audio) : "";
  text += "|";
  if (one && promised.video) text += absolute(*clip.audio);
  if (clip.video) text += absolute(*clip.video);
  for (const PackedFile& frame : clip.frames) text += "|" + absolute(frame);
  if (clip.frame_folder) text += concat("|", absolute({*clip.frame_folder, {}}), clips_->id(i));
  if (clip.start_seconds) text += concat("@", *clip.start_seconds);
  if (clip.end_seconds) text += concat("-", *clip.end_seconds);
  return text;
}

// The same shorter, for a table of millions.
std::string ClipListBuilder::identity_key(size_t i) const {
  const PackedClip clip = clips_->packed(i);
  const PromisedModalities promised = clips_->promised(i);
  std::string key;
  const auto add = [&key](const void* value, size_t size) {
    key.append(static_cast<const char*>(value), size);
  };
  const auto add_file = [&](char role, const PackedFile& file) {
    key += role;
    add(&absolute_of_[file.folder], sizeof(uint32_t));
    key.append(file.name) += '\0';
  };
  const bool one = clip.is_one_file;
  if (clip.audio && (!one || promised.audio)) add_file('a', *clip.audio);
  if (one && promised.video) add_file('v', *clip.audio);
  if (clip.video) add_file('v', *clip.video);
  for (const PackedFile& frame : clip.frames) add_file('f', frame);
  if (clip.frame_folder) add_file('g', {*clip.frame_folder, clips_->id(i)});
  for (const auto& seconds : {clip.start_seconds, clip.end_seconds}) {
    key += '@';
    if (seconds) add(&*seconds, sizeof(double));
  }
  return key;
}

void ClipListBuilder::merge_repeated() {
  constexpr uint32_t kNone = CompactClips::kUnnamed;
  CompactClips& clips = *clips_;
  std::vector<uint32_t> first_of_id(clips.ids().size(), kNone), first_of_key;
  StringPool keys;
  std::vector<bool> repeated(clips.size());
  Clashes clashes;
  size_t num_repeated = 0;
  for (size_t i = 0; i < clips.size(); ++i) {
    const uint32_t id = clips.id_number(i);
    const uint32_t number = id != kNone ? id : keys.add(identity_key(i));
    auto& firsts = id != kNone ? first_of_id : first_of_key;
    if (number == firsts.size()) firsts.push_back(kNone);
    const uint32_t first =
        std::exchange(firsts[number], firsts[number] == kNone ? static_cast<uint32_t>(i) : firsts[number]);
    if (first == kNone) continue;
    const auto set = common_set(clips.label_sets(), clips.label_set(first), clips.label_set(i));
    if (id != kNone && identity_key(first) != identity_key(i)) {
      clashes.add(place(i), ": the id '", clips.id(i), "' was given before, at ", place(first));
    } else if (!set) {
      clashes.add(place(i), ": this clip was given other labels before, at ", place(first));
    } else {
      clips.set_label_set(first, *set);
      repeated[i] = true;
      ++num_repeated;
    }
  }
  clashes.throw_if_any();
  if (num_repeated == 0) return;
  log_.warn("{} clips are listed more than once and count once", num_repeated);
  clips.remove(repeated);
  keep_unmarked(list_, repeated);
  keep_unmarked(number_, repeated);
}

// The name of a clip that its list does not name: the shortest is tried first.
std::string ClipListBuilder::name_of_length(size_t i, int length) const {
  const PackedFile file = main_file(i);
  if (length == 0)
    return std::string(
        file.name.substr(0, file.name.rfind('.') == 0 ? file.name.size() : file.name.rfind('.')));
  if (length == 1) {
    const List& list = lists_[list_[i]];
    const std::string path = clips_->path_of(file), base(clips_->folders()[list.base_folder]);
    if (list.shard) return path.substr(list.name.rfind('/') + 1);  // "x.tar/a.wav", wherever the shard lies
    return path.starts_with(base) ? path.substr(base.size())
                                  : fs::path(path).lexically_proximate(base).string();
  }
  return length == 2 ? absolute(file) : identity(i);
}

// Gives every unnamed clip the shortest of its names that no other clip has.
void ClipListBuilder::name_unnamed() {
  constexpr int kNumLengths = 4;
  std::vector<uint32_t> unnamed;
  for (size_t i = 0; i < clips_->size(); ++i)
    if (clips_->id_number(i) == CompactClips::kUnnamed) unnamed.push_back(static_cast<uint32_t>(i));
  for (int length = 0; length < kNumLengths && !unnamed.empty(); ++length) {
    StringPool names;
    std::vector<uint32_t> name_of, uses;
    for (const uint32_t i : unnamed) {
      const std::string name = name_of_length(i, length);
      name_of.push_back(names.add(is_utf8(name) ? name : escape_invalid_utf8(name)));
      uses.resize(names.size());
      ++uses[name_of.back()];
    }
    std::vector<uint32_t> left;
    for (size_t u = 0; u < unnamed.size(); ++u) {
      const std::string_view name = names[name_of[u]];
      const bool accepted = uses[name_of[u]] == 1 && !clips_->ids().find(name);
      if (accepted) clips_->set_id(unnamed[u], clips_->ids().add(name));
      if (!accepted) left.push_back(unnamed[u]);
    }
    unnamed = std::move(left);
  }
  CAVMAE_CHECK_AS(DataError, unnamed.empty(), place(unnamed[0]),
                  ": every name that this clip could have is taken; give it an 'id' in a manifest");
}

ClipList ClipListBuilder::finish() {
  merge_repeated();
  name_unnamed();
  clips_->freeze();
  return ClipList(std::exchange(clips_, nullptr));
}

}  // namespace cavmae
