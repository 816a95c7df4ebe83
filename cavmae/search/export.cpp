#include "cavmae/search/export.h"

#include "cavmae/data/shard_members.h"
#include "cavmae/media/film_cut.h"

namespace cavmae {

void export_moment(const LibraryFile& file, const Moment& moment, const std::filesystem::path& out) {
  const MediaSource pictures = file_or_member(file.path),
                    sound = file.audio_path.empty() ? pictures : file_or_member(file.audio_path);
  const MediaInfo info = probe_media(pictures);
  write_film_cut({.pictures = file.has_video && info.has_video ? pictures : MediaSource(),
                  .sound = file.has_audio ? sound : MediaSource(),
                  .info = &info,
                  .start_seconds = to_seconds(moment.start_ms),
                  .seconds = to_seconds(moment.end_ms - moment.start_ms),
                  .max_width_px = 1280},
                 out, VideoContainer::mp4)
      ->finish();
}

}  // namespace cavmae
