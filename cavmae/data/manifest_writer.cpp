#include "cavmae/data/manifest_writer.h"

#include <cerrno>
#include <cstring>
#include <fstream>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/json.h"
#include "cavmae/core/json_text.h"
#include "cavmae/core/paths.h"
#include "cavmae/core/text.h"
#include "cavmae/core/utf8.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

// Of a file as a list in `folder` names it.
std::string path_from(const fs::path& folder, const MediaSource& source) {
  const fs::path file = source.path();
  CAVMAE_CHECK_AS(DataError, !file.empty(), source,
                  ": is no file of its own, so that no list can name it; unpack it first");
  const std::string text = path_from_folder(file, folder).string();
  CAVMAE_CHECK_AS(DataError, is_utf8(text), escape_invalid_utf8(text),
                  ": the path is no UTF-8 text, so that no JSON can hold it; rename the file");
  return text;
}

// Of a clip that was named as one file and has no pictures by that file's name.
bool is_audio_file(const ClipSource& clip) {
  return !clip.audio.empty() && clip.audio == clip.video && !promised_modalities(clip).video;
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
  if (clip.end_seconds) record["end_seconds"] = *clip.end_seconds;
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
                  (clip.video.empty() || is_audio_file(clip)) && !clip.start_seconds &&
                      clip.frames.empty() == pictures.empty(),
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

bool is_json_lines(const fs::path& path) {
  const std::string extension = lower(path.extension().string());
  CAVMAE_CHECK_AS(ConfigError, extension == ".json" || extension == ".jsonl" || extension == ".ndjson",
                  path.string(), ": a list of clips is written as .jsonl, or as .json in the authors' form");
  return extension != ".json";
}

}  // namespace

void check_manifest_path(const fs::path& path) {
  is_json_lines(path);
  CAVMAE_CHECK_AS(ConfigError, fs::is_directory(folder_of(path)), path.string(), ": there is no folder ",
                  folder_of(path).string(), "; make it or choose another file");
}

void write_manifest(const fs::path& path, const ClipList& clips, const LabelsOfClip& labels) {
  const bool lines = is_json_lines(path);
  const fs::path folder = folder_of(path);
  write_file_with(path, [&](const fs::path& temporary) {
    std::ofstream out(temporary, std::ios::binary);
    if (!lines) out << "{\"data\": [\n";
    for (size_t i = 0; i < clips.size(); ++i) {
      ClipSource clip = clips[i];
      if (labels) clip.labels = labels(i);
      out << to_text(lines ? jsonl_record(clip, folder) : authors_record(clip, folder));
      out << (lines || i + 1 == clips.size() ? "\n" : ",\n");
    }
    if (!lines) out << "]}\n";
    CAVMAE_CHECK(out.flush(), path.string(), ": cannot write: ", std::strerror(errno));
  });
}

}  // namespace cavmae
