#include "cavmae/eval/clip_passes.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/data/device_feed.h"

namespace cavmae {
namespace {

// Positions of the clips named in `bad`, of those at `positions`.
std::vector<int64_t> positions_of(const std::vector<BadClip>& bad, const std::vector<ClipSource>& clips,
                                  const std::vector<int64_t>& positions) {
  std::vector<std::string> ids;
  for (const BadClip& clip : bad) ids.push_back(clip.id);
  std::ranges::sort(ids);
  std::vector<int64_t> out;
  for (const int64_t position : positions)
    if (std::ranges::binary_search(ids, clips[position].id)) out.push_back(position);
  return out;
}

}  // namespace

std::vector<BadClip> pass_over(const ClipPass& pass, const std::vector<int64_t>& positions, Need need,
                               const BatchSink& sink, std::shared_ptr<Log> log) {
  if (positions.empty()) return {};
  std::vector<ClipSource> chosen;
  for (const int64_t position : positions) chosen.push_back(pass.clips[position]);
  Loader loader(std::move(chosen), pass.reader, pass.view, need, pass.loader, std::move(log));
  DeviceFeed feed(loader, {.device = pass.device});
  feed.start_epoch({.shuffle = false, .drop_last = false});
  while (auto batch = feed.next()) {
    std::vector<int64_t> of_batch;
    for (const int64_t i : batch->indices) of_batch.push_back(positions[i]);
    sink(*batch, of_batch);
  }
  return loader.bad_clips();
}

std::vector<BadClip> pass_over_what_there_is(const ClipPass& pass, const BatchSink& sink,
                                             std::shared_ptr<Log> log) {
  ClipPass patient = pass;
  patient.loader.max_bad_ratio = 1.0;
  const auto go = [&](const std::vector<int64_t>& positions, Need need) {
    return pass_over(patient, positions, need, sink, null_log());
  };
  const auto [with_both, with_audio, with_video] = sort_by_sides(pass.clips);
  std::vector<BadClip> failed = go(with_audio, Need::audio);
  const auto append = [&](std::vector<BadClip> more) {
    for (BadClip& clip : more) failed.push_back(std::move(clip));
  };
  append(go(with_video, Need::video));
  auto left = positions_of(go(with_both, Need::both), pass.clips, with_both);
  left = positions_of(go(left, Need::audio), pass.clips, left);
  append(go(left, Need::video));
  for (const BadClip& clip : failed) log->warn("{}: {}", clip.id, clip.reason);
  check_failed_share(failed, pass);
  return failed;
}

ClipsBySides sort_by_sides(const std::vector<ClipSource>& clips) {
  ClipsBySides out;
  for (size_t i = 0; i < clips.size(); ++i) {
    const ClipSource& clip = clips[i];
    const bool no_picture = clip.video.empty() && clip.frames.empty();
    (no_picture           ? out.audio_alone
     : clip.audio.empty() ? out.video_alone
                          : out.both)
        .push_back(static_cast<int64_t>(i));
  }
  return out;
}

void check_failed_share(const std::vector<BadClip>& failed, const ClipPass& pass) {
  const auto allowed = pass.loader.max_bad_ratio * static_cast<double>(pass.clips.size());
  CAVMAE_CHECK_AS(DataError, static_cast<double>(failed.size()) <= allowed, failed.size(), " of ",
                  pass.clips.size(), " clips could not be read, more than max_bad_ratio ",
                  pass.loader.max_bad_ratio, " allows; the last one: ", failed.back().id, ": ",
                  failed.back().reason);
}

std::vector<int64_t> all_positions(size_t n) {
  std::vector<int64_t> out(n);
  std::iota(out.begin(), out.end(), 0);
  return out;
}

}  // namespace cavmae
