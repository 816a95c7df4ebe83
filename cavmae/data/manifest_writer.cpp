#include "cavmae/data/manifest_writer.h"

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/json.h"
#include "cavmae/core/text.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

// Of a file as a list in `folder` names it.
std::string path_from(const fs::path& folder, const MediaSource& source) {
  const fs::path file = source.path();
  CAVMAE_CHECK_AS(DataError, !file.empty(), source,
                  ": is no file of its own, so that no list can name it; unpack it first");
  if (file.is_absolute()) return file.string();
  return fs::absolute(file)
      .lexically_normal()
      .lexically_proximate(fs::absolute(folder).lexically_normal())
      .string();
}

Json jsonl_record(const ClipSource& clip, const fs::path& folder) {
  Json record = {{"id", clip.id}};
  const bool one_file = !clip.audio.empty() && clip.audio == clip.video;
  if (one_file) record["path"] = path_from(folder, clip.audio);
  if (!one_file && !clip.audio.empty()) record["audio"] = path_from(folder, clip.audio);
  if (!one_file && !clip.video.empty()) record["image"] = path_from(folder, clip.video);
  for (const MediaSource& frame : clip.frames) record["frames"].push_back(path_from(folder, frame));
  if (!clip.labels.empty()) record["labels"] = clip.labels;
  if (clip.start_seconds) record["start_seconds"] = *clip.start_seconds;
  return record;
}

// The folder above frame_0 to frame_9; empty when the pictures do not lie as the authors' do.
fs::path authors_folder(const ClipSource& clip) {
  const fs::path folder = clip.frames[0].path().parent_path().parent_path();
  for (size_t i = 0; i < clip.frames.size(); ++i)
    if (clip.frames[i] != folder / concat("frame_", i) / (clip.id + ".jpg")) return {};
  return folder;
}

Json authors_record(const ClipSource& clip, const fs::path& folder) {
  const fs::path pictures = clip.frames.empty() ? fs::path() : authors_folder(clip);
  CAVMAE_CHECK_AS(DataError,
                  clip.video.empty() && !clip.start_seconds && clip.frames.empty() == pictures.empty(),
                  "clip '", clip.id,
                  "' cannot be written in the authors' JSON, which has a 'wav' and pictures at "
                  "video_path/frame_N/video_id.jpg; write a .jsonl");
  std::string labels;
  for (const std::string& label : clip.labels) {
    CAVMAE_CHECK_AS(DataError, label.find_first_of(",;") == std::string::npos, "clip '", clip.id,
                    "': the label '", label,
                    "' has a comma or semicolon, which parts labels in the authors' JSON; write a .jsonl");
    labels += (labels.empty() ? "" : ",") + label;
  }
  Json record = {{"video_id", clip.id}};
  if (!clip.audio.empty()) record["wav"] = path_from(folder, clip.audio);
  if (!pictures.empty()) record["video_path"] = path_from(folder, pictures);
  record["labels"] = labels;
  return record;
}

}  // namespace

void write_manifest(const fs::path& path, const std::vector<ClipSource>& clips) {
  const std::string extension = lower(path.extension().string());
  const fs::path folder = path.parent_path();
  if (extension == ".json") {
    Json data = Json::array();
    for (const ClipSource& clip : clips) data.push_back(authors_record(clip, folder));
    write_json(path, {{"data", data}});
    return;
  }
  CAVMAE_CHECK_AS(ConfigError, extension == ".jsonl" || extension == ".ndjson", path.string(),
                  ": a list of clips is written as .jsonl, or as .json in the authors' form");
  std::string text;
  for (const ClipSource& clip : clips) text += jsonl_record(clip, folder).dump() + "\n";
  write_file(path, text);
}

}  // namespace cavmae
