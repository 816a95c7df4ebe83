#include "cavmae/data/clip_list.h"

#include <algorithm>
#include <utility>

#include "cavmae/data/media_files.h"

namespace cavmae {
namespace {

class MadeClips : public ClipStore {
 public:
  explicit MadeClips(std::vector<ClipSource> clips) : clips_(std::move(clips)) {}
  size_t size() const override { return clips_.size(); }
  ClipSource clip(size_t i) const override { return clips_.at(i); }
  std::string_view id(size_t i) const override { return clips_.at(i).id; }
  const std::vector<std::string>& labels(size_t i) const override { return clips_.at(i).labels; }
  PromisedModalities promised(size_t i) const override { return promised_modalities(clips_.at(i)); }
  bool has_windows() const override {
    return std::ranges::any_of(clips_, [](const ClipSource& clip) { return !clip.file.empty(); });
  }

 private:
  std::vector<ClipSource> clips_;
};

}  // namespace

PromisedModalities promised_modalities(const ClipSource& clip) {
  PromisedModalities promised{.audio = !clip.audio.empty(),
                              .video = !clip.video.empty() || !clip.frames.empty()};
  if (!promised.audio || clip.video.empty() || clip.audio.name() != clip.video.name()) return promised;
  const MediaKind kind = media_kind(clip.audio.name());
  return {.audio = kind != MediaKind::picture, .video = kind != MediaKind::audio};
}

ClipList::ClipList(std::vector<ClipSource> clips)
    : store_(std::make_shared<const MadeClips>(std::move(clips))) {}

ClipList ClipList::at(const std::vector<int64_t>& positions) const {
  std::vector<uint32_t> chosen;
  chosen.reserve(positions.size());
  for (const int64_t i : positions) chosen.push_back(static_cast<uint32_t>(position(static_cast<size_t>(i))));
  ClipList part(store_);
  part.is_part_ = true;
  part.positions_ = std::make_shared<const std::vector<uint32_t>>(std::move(chosen));
  return part;
}

}  // namespace cavmae
