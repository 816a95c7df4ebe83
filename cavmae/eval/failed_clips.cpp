#include "cavmae/eval/failed_clips.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"

namespace cavmae {
namespace {

// What failed of one clip, unless one side was read and the clip just has no other.
void account_for(const LostSides& lost, const ClipSource& source, FailedClips& result) {
  const bool no_audio = lost.audio || source.audio.empty(),
             no_video = lost.video || (source.video.empty() && source.frames.empty());
  BadClip clip = lost.audio ? *lost.audio : *lost.video;
  const bool audio_failed = lost.audio && !lost.audio->is_lacking,
             video_failed = lost.video && !lost.video->is_lacking;
  if (lost.audio && lost.video && audio_failed == video_failed) {
    clip.side = ClipSide::both;
    if (lost.audio->reason != lost.video->reason)
      clip.reason = concat("audio: ", lost.audio->reason, "; video: ", lost.video->reason);
  } else {
    const bool of_audio = lost.audio && (audio_failed || !lost.video);
    clip = of_audio ? *lost.audio : *lost.video;
    clip.side = of_audio ? ClipSide::audio : ClipSide::video;
  }
  const bool failed = audio_failed || video_failed || (no_audio && no_video);
  clip.is_lacking = !failed;
  (failed ? result.failed : result.lacking).push_back(std::move(clip));
}

}  // namespace

FailedClips account_for(const std::map<int64_t, LostSides>& lost, const ClipList& clips) {
  FailedClips result;
  for (const auto& [position, sides] : lost)
    if (sides.audio || sides.video) account_for(sides, clips[static_cast<size_t>(position)], result);
  return result;
}

std::map<int64_t, BadClip> by_position(std::vector<BadClip> bad, const ClipList& clips,
                                       const std::vector<int64_t>& positions) {
  std::map<std::string, BadClip, std::less<>> by_id;
  for (BadClip& clip : bad) by_id.emplace(clip.id, std::move(clip));
  std::map<int64_t, BadClip> out;
  for (const int64_t position : positions)
    if (const auto found = by_id.find(clips.id(position)); found != by_id.end())
      out.emplace(position, found->second);
  return out;
}

std::vector<BadClip> gather_bad_clips(World& world, std::vector<BadClip> own) {
  if (world.size() == 1) return own;
  std::string text;
  for (const BadClip& clip : own) text += clip.id + '\0' + clip.reason + '\0' + side_name(clip.side) + '\0';
  const torch::Tensor bytes = torch::empty({static_cast<int64_t>(text.size())}, torch::kUInt8);
  std::copy(text.begin(), text.end(), bytes.data_ptr<uint8_t>());
  const torch::Tensor all = gather_rows(world, bytes).contiguous();
  const std::string_view joined(static_cast<const char*>(all.data_ptr()), static_cast<size_t>(all.numel()));
  const std::vector<std::string> texts = split(joined, '\0');
  std::vector<BadClip> out;
  for (size_t i = 0; i + 2 < texts.size(); i += 3)
    out.push_back({.id = texts[i], .reason = texts[i + 1], .side = side_of_name(texts[i + 2])});
  return out;
}

void join_failed(std::vector<BadClip>& failed, const std::vector<BadClip>& more) {
  std::map<std::string, size_t> before;
  for (size_t i = 0; i < failed.size(); ++i) before.emplace(failed[i].id, i);
  for (const BadClip& clip : more) {
    const auto found = before.find(clip.id);
    if (found == before.end()) {
      failed.push_back(clip);
      continue;
    }
    BadClip& known = failed[found->second];
    known.reason =
        concat(side_name(known.side), ": ", known.reason, "; ", side_name(clip.side), ": ", clip.reason);
    known.side = ClipSide::both;
  }
}

void check_failed_share(const std::vector<BadClip>& failed, size_t num_clips, const LoaderOptions& loader) {
  const auto allowed = loader.max_bad_ratio * static_cast<double>(num_clips);
  CAVMAE_CHECK_AS(DataError, static_cast<double>(failed.size()) <= allowed, failed.size(), " of ", num_clips,
                  " clips could not be read, more than max_bad_ratio ", loader.max_bad_ratio,
                  " allows; the last one: ", to_line(failed.back()));
}

std::string to_line(const BadClip& clip) {
  return clip.side == ClipSide::both ? concat(clip.id, ": ", clip.reason)
                                     : concat(clip.id, " (its ", side_name(clip.side), "): ", clip.reason);
}

Json to_json(const std::vector<BadClip>& clips) {
  Json out = Json::array();
  for (const BadClip& clip : clips)
    out.push_back({{"id", clip.id}, {"reason", clip.reason}, {"side", side_name(clip.side)}});
  return out;
}

}  // namespace cavmae
