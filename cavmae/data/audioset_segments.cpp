// AudioSet's tables of segments: YouTube ids, times and labels, but no files.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <unordered_map>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/core/number_text.h"
#include "cavmae/core/text.h"
#include "cavmae/data/clip_record.h"
#include "cavmae/data/list_formats.h"
#include "cavmae/data/media_files.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

constexpr size_t kIdLetters = 11;  // of every id of YouTube's

// Files by the ids that their names may begin with or, in brackets, end with.
class FilesById {
 public:
  FilesById(const fs::path& folder, Log& log) {
    FolderScan scan = find_media_files(folder, {}, log);
    for (fs::path& file : scan.media) {
      const std::string stem = file.stem().string();
      const size_t number = files_.size();
      add(stem, 0, number);
      if (stem.starts_with('Y')) add(stem, 1, number);
      if (stem.ends_with(']') && stem.size() >= kIdLetters + 2 && stem[stem.size() - kIdLetters - 2] == '[')
        add(stem, stem.size() - kIdLetters - 1, number);
      files_.push_back(std::move(file));
    }
  }

  // Sets what the segment's clip is read from; false when there is no file of it.
  bool find(const std::string& id, double start_seconds, ListedClip& clip) const {
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) return false;
    std::string sound, picture;
    for (const auto& [file, rest] : found->second) {
      if (!fits(rest, start_seconds)) continue;
      const std::string path = fs::absolute(files_[file]).string();
      const MediaKind kind = media_kind(path);
      if (kind == MediaKind::video) {
        clip.path = path;
        return true;
      }
      std::string& side = kind == MediaKind::picture ? picture : sound;
      if (side.empty()) side = path;
    }
    if (sound.empty() || picture.empty()) {
      clip.path = sound + picture;
    } else {
      clip.audio = sound;
      clip.video = picture;
    }
    return !sound.empty() || !picture.empty();
  }

 private:
  struct Entry {
    size_t file;
    std::string rest;  // of the name, behind the id
  };

  void add(const std::string& stem, size_t at, size_t file) {
    if (stem.size() < at + kIdLetters) return;
    std::string rest = stem.substr(at + kIdLetters);
    if (rest.empty() || std::string_view("_-. ]").find(rest[0]) != std::string_view::npos)
      by_id_[stem.substr(at, kIdLetters)].push_back({file, std::move(rest)});
  }

  // Whether what follows the id in a name ("_30", "_30000_40000") does not say that it is another segment.
  static bool fits(std::string_view rest, double start_seconds) {
    if (rest.size() < 2) return true;
    rest.remove_prefix(1);
    double number = 0;
    const auto [end, failure] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (failure != std::errc() || number < 0) return true;
    return std::abs(number - start_seconds) < 1 || std::abs(number - 1000 * start_seconds) < 1000;
  }

  std::vector<fs::path> files_;
  std::unordered_map<std::string, std::vector<Entry>> by_id_;
};

struct Columns {
  size_t id, start, end, labels;
};

Columns find_columns(const CsvRow& header, const std::string& where) {
  const auto column = [&](const char* name) {
    const auto found =
        std::ranges::find_if(header.cells, [&](const auto& cell) { return lower(cell) == name; });
    CAVMAE_CHECK_AS(DataError, found != header.cells.end(), where, ":", header.line, ": has no column '",
                    name,
                    "'; a table of AudioSet's has YTID, start_seconds, end_seconds and positive_labels");
    return static_cast<size_t>(found - header.cells.begin());
  };
  return {column("ytid"), column("start_seconds"), column("end_seconds"), column("positive_labels")};
}

double seconds_in(const std::string& cell, const std::string& where, int64_t line) {
  const auto seconds = parse_number(cell);
  CAVMAE_CHECK_AS(DataError, seconds && *seconds >= 0 && std::isfinite(*seconds), where, ":", line,
                  ": a time must be a number of at least 0, found '", printable(cell), "'");
  return *seconds;
}

}  // namespace

void read_audioset_segments(CsvReader& rows, const CsvRow& header, const fs::path& folder,
                            const ListTarget& to) {
  const std::string& where = rows.name();
  const fs::path searched = folder.empty() ? fs::path(".") : folder;
  const Columns columns = find_columns(header, where);
  const FilesById files(searched, to.log);
  int64_t segments = 0, found = 0;
  std::string first_missing;
  ListedClip clip;
  for (CsvRow row; rows.next(row);) {
    CAVMAE_CHECK_AS(DataError, row.cells.size() == header.cells.size(), where, ":", row.line, ": has ",
                    row.cells.size(), " cells where the header has ", header.cells.size(),
                    "; put labels in double quotes");
    ++segments;
    clip.clear();
    clip.id = row.cells[columns.id];
    clip.label_text = row.cells[columns.labels];
    clip.start_seconds = seconds_in(row.cells[columns.start], where, row.line);
    clip.end_seconds = seconds_in(row.cells[columns.end], where, row.line);
    clip.number = row.line;
    check_segment(clip, {.list = where, .number = row.line});
    if (files.find(clip.id, *clip.start_seconds, clip)) {
      ++found;
      to.clips.add(clip);
    } else if (first_missing.empty()) {
      first_missing = clip.id;
    }
  }
  CAVMAE_CHECK_AS(
      DataError, found > 0 || segments == 0, where, ": none of its ", segments, " segments has a file in ",
      searched.string(), " or below it; a clip is called ID.mp4, ID.wav, YID.wav or ID_START.wav, such as ",
      first_missing, ".mp4; lay the table beside the files, or write a list with the columns path,labels");
  if (found < segments)
    to.log.warn(
        "{}: {} of its {} segments have a file in {} or below it; the others are left out, such as {}", where,
        found, segments, searched.string(), first_missing);
}

}  // namespace cavmae
