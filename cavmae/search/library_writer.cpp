#include "cavmae/search/library_writer.h"

#include <algorithm>
#include <map>
#include <set>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/search/content_hash.h"
#include "cavmae/search/segment.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

// Moments in the tail before a segment is made of them: readers compare them from memory.
constexpr int64_t kTailMoments = 4096;
// So many segments of about one size become one.
constexpr size_t kMergeSegments = 8;
constexpr int64_t kMaxSegmentMoments = 1 << 20;  // none grows larger

fs::path made(const fs::path& library) {
  make_directories(library);
  return library;
}

// Segments of one tier are within a factor of kMergeSegments of one another.
int64_t tier_of(int64_t rows) {
  int64_t tier = 0;
  for (int64_t size = kTailMoments; size * 2 <= rows; size *= static_cast<int64_t>(kMergeSegments)) ++tier;
  return tier;
}

}  // namespace

LibraryWriter::LibraryWriter(const fs::path& library, const LibrarySettings& wanted, LibraryStart start,
                             std::shared_ptr<Log> log)
    : library_(library),
      settings_(wanted),
      start_(start),
      log_(std::move(log)),
      lock_(made(library), "another process adds to this library; wait for it or stop it") {
  const bool is_there = holds_library(library);
  if (is_there && start == LibraryStart::add) {
    settings_ = read_library_settings(library);
    check_same_model(library, settings_, wanted.model);
    CAVMAE_CHECK_AS(ConfigError, settings_.hop_seconds == wanted.hop_seconds, library.string(),
                    ": its moments are ", settings_.hop_seconds, " s apart, not ", wanted.hop_seconds,
                    "; leave out --hop, or make it anew by --rebuild");
  } else if (is_there) {
    settings_.generation = read_library_settings(library).generation + 1;
  } else {
    for (const auto& entry : fs::directory_iterator(library))
      CAVMAE_CHECK_AS(ConfigError, entry.path().filename().string().starts_with("generation-"),
                      library.string(), ": is no library and holds other files (",
                      entry.path().filename().string(), "); give a new folder");
    start_ = LibraryStart::add;
  }
  open_generation();
  remove_leftovers();
}

// A generation has library.json beside its tables until it counts, so that one that was left half made is
// continued only with the settings that it was begun with.
void LibraryWriter::open_generation() {
  generation_ = generation_folder(library_, settings_.generation);
  const bool counts =
      holds_library(library_) && read_library_settings(library_).generation == settings_.generation;
  if (!counts && holds_library(generation_) &&
      to_json(read_library_settings(generation_)) != to_json(settings_))
    fs::remove_all(generation_);
  make_directories(generation_ / "segments");
  catalog_ = std::make_unique<Catalog>(generation_ / "library.sqlite", DatabaseAccess::create);
  write_library_settings(generation_, settings_);
  if (!holds_library(library_)) write_library_settings(library_, settings_);
}

// Segments that were written and not entered, or merged and not removed, when a process was killed; and
// generations that count no more.
void LibraryWriter::remove_leftovers() {
  std::set<fs::path> known;
  for (const SegmentRecord& segment : catalog_->segments())
    known.insert(segment_file(generation_, segment.id));
  for (const auto& entry : fs::directory_iterator(generation_ / "segments"))
    if (!known.contains(entry.path())) fs::remove(entry.path());
  const int64_t counts = read_library_settings(library_).generation;
  for (const auto& entry : fs::directory_iterator(library_))
    if (entry.is_directory() && entry.path().filename().string().starts_with("generation-") &&
        entry.path() != generation_ && entry.path() != generation_folder(library_, counts))
      fs::remove_all(entry.path());
}

void LibraryWriter::write(const std::vector<int64_t>& replaced) {
  const torch::ScalarType type = scalar_type(settings_.vectors);
  const int64_t width = settings_.model.embed_dim;
  std::vector<MomentRows> parts;
  for (const SegmentRecord& segment : catalog_->segments()) {
    if (std::ranges::find(replaced, segment.id) == replaced.end()) continue;
    const MomentRows rows = map_segment(segment_file(generation_, segment.id), segment.rows, width, type);
    torch::Tensor alive = torch::ones({segment.rows}, torch::kBool);
    for (const int64_t row : catalog_->dead_rows(segment.id)) alive.data_ptr<bool>()[row] = false;
    parts.push_back(select_rows(rows, alive.nonzero().flatten()));
  }
  if (replaced.empty()) parts.push_back(read_tail(*catalog_, width, type));
  const MomentRows rows = join_rows(parts);
  SegmentRecord segment{.id = catalog_->next_segment_id(), .rows = rows.size(), .checksum = {}};
  const fs::path file = segment_file(generation_, segment.id);
  segment.checksum = write_segment(file, rows);
  std::vector<SegmentRow> places;
  for (int64_t row = 0; row < rows.size(); ++row)
    places.push_back({.moment = rows.moment.data_ptr<int64_t>()[row], .row = row});
  catalog_->add_segment(segment, places, replaced);
  for (const int64_t old : replaced) fs::remove(segment_file(generation_, old));
}

void LibraryWriter::merge() {
  for (bool merged = true; merged;) {
    merged = false;
    std::map<int64_t, std::vector<int64_t>> tiers;
    for (const SegmentRecord& segment : catalog_->segments())
      if (segment.rows < kMaxSegmentMoments) tiers[tier_of(segment.rows)].push_back(segment.id);
    for (const auto& [tier, ids] : tiers) {
      if (ids.size() < kMergeSegments) continue;
      log_->debug("joining {} segments", ids.size());
      write(ids);
      merged = true;
      break;
    }
  }
}

void LibraryWriter::seal_if_due() {
  if (catalog_->tail_size() >= kTailMoments) seal();
}

void LibraryWriter::seal() {
  if (catalog_->tail_size() == 0) return;
  write({});
  merge();
}

LibraryCheck LibraryWriter::check() {
  LibraryCheck result;
  std::set<int64_t> files;
  for (const SegmentRecord& segment : catalog_->segments()) {
    ++result.segments;
    const fs::path file = segment_file(generation_, segment.id);
    std::string problem;
    try {
      if (content_hash_of_file(file) != segment.checksum)
        problem = concat(file.string(), ": its checksum is wrong");
    } catch (const Error& e) {
      problem = e.what();
    }
    if (problem.empty()) continue;
    result.damaged.push_back(problem);
    for (const int64_t id : catalog_->files_in_segment(segment.id)) files.insert(id);
    catalog_->remove_segment(segment.id);
    std::error_code ignored;
    fs::remove(file, ignored);
  }
  result.files_to_repeat = static_cast<int64_t>(files.size());
  return result;
}

void LibraryWriter::finish() {
  if (start_ != LibraryStart::rebuild) return;
  const int64_t former = read_library_settings(library_).generation;
  write_library_settings(library_, settings_);
  fs::remove_all(generation_folder(library_, former));
  start_ = LibraryStart::add;
}

}  // namespace cavmae
