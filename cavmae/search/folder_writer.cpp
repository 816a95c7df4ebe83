#include "cavmae/search/folder_writer.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/options.h"
#include "cavmae/core/progress.h"
#include "cavmae/core/stop_signal.h"
#include "cavmae/search/content_hash.h"
#include "cavmae/search/index_jobs.h"
#include "cavmae/search/list_training.h"
#include "cavmae/search/segment_lists.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

// Moments in the tail before a segment is made of them: readers compare them from memory.
constexpr int64_t kTailMoments = 4096;
// So many segments of about one size become one.
constexpr size_t kMergeSegments = 8;
constexpr int64_t kMaxSegmentMoments = 1 << 20;  // none grows larger
// From how many moments on automatic is ivf, and ivfpq.
constexpr int64_t kListsFrom = 1'000'000, kCodesFrom = 10'000'000;
// Smaller segments are compared whole.
constexpr int64_t kLeastSegmentWithLists = 16384;

fs::path made(const fs::path& library, const LibrarySettings& wanted) {
  CAVMAE_CHECK_AS(
      ConfigError, wanted.vectors != VectorType::text, library.string(),
      ": a library in a folder keeps vectors as float32 or float16; text is of one in PostgreSQL");
  make_directories(library);
  return library;
}

void remove_segment_files(const fs::path& file) {
  std::error_code ignored;
  fs::remove(file, ignored);
  fs::remove(lists_file(file), ignored);
}

// Segments of one tier are within a factor of kMergeSegments of one another.
int64_t tier_of(int64_t rows) {
  int64_t tier = 0;
  for (int64_t size = kTailMoments; size * 2 <= rows; size *= static_cast<int64_t>(kMergeSegments)) ++tier;
  return tier;
}

}  // namespace

FolderWriter::FolderWriter(const fs::path& library, const LibrarySettings& wanted, LibraryStart start,
                           std::shared_ptr<Log> log)
    : LibraryWriter(wanted), library_(library), start_(start), log_(std::move(log)) {
  lock_.emplace(made(library, wanted), "another process adds to this library; wait for it or stop it");
  const bool is_there = holds_library(library);
  if (is_there && start == LibraryStart::add) {
    settings_ = read_library_settings(library);
    check_same_model(library.string(), settings_, wanted.model);
    CAVMAE_CHECK_AS(ConfigError, settings_.hop_seconds == wanted.hop_seconds, library.string(),
                    ": its moments are ", settings_.hop_seconds, " s apart, not ", wanted.hop_seconds,
                    "; leave out --hop, or make it anew by --rebuild");
    CAVMAE_CHECK_AS(ConfigError, settings_.vectors == wanted.vectors, library.string(), ": its vectors are ",
                    enum_name(settings_.vectors), ", not ", enum_name(wanted.vectors),
                    "; leave out --vectors, or make it anew by --rebuild");
    settings_.data = wanted.data;
    settings_.index = wanted.index;
    write_library_settings(library, settings_);
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

FolderWriter::FolderWriter(const fs::path& library, const LibrarySettings& opened, std::shared_ptr<Log> log)
    : LibraryWriter(opened),
      library_(library),
      start_(LibraryStart::add),
      log_(std::move(log)),
      generation_(generation_folder(library, opened.generation)),
      catalog_(std::make_unique<Catalog>(generation_ / "library.sqlite", DatabaseAccess::write)) {}

// A generation has library.json beside its tables until it counts, so that one that was left half made is
// continued only with the settings that it was begun with.
void FolderWriter::open_generation() {
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
void FolderWriter::remove_leftovers() {
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

void FolderWriter::write(const std::vector<int64_t>& replaced) {
  std::vector<MomentRows> parts;
  for (const SegmentRecord& segment : catalog_->segments()) {
    if (std::ranges::find(replaced, segment.id) == replaced.end()) continue;
    const MomentRows rows = rows_of(segment);
    torch::Tensor alive = torch::ones({segment.rows}, torch::kBool);
    for (const int64_t row : catalog_->dead_rows(segment.id)) alive.data_ptr<bool>()[row] = false;
    parts.push_back(select_rows(rows, alive.nonzero().flatten()));
  }
  if (replaced.empty())
    parts.push_back(read_tail(*catalog_, settings_.model.embed_dim, scalar_type(settings_.vectors)));
  const MomentRows rows = join_rows(parts);
  SegmentRecord segment{.id = catalog_->next_segment_id(), .rows = rows.size(), .checksum = {}};
  const fs::path file = segment_file(generation_, segment.id);
  segment.checksum = write_segment(file, rows);
  std::vector<SegmentRow> places;
  for (int64_t row = 0; row < rows.size(); ++row)
    places.push_back({.moment = rows.moment.data_ptr<int64_t>()[row], .row = row});
  catalog_->add_segment(segment, places, replaced);
  for (const int64_t old : replaced) remove_segment_files(segment_file(generation_, old));
}

MomentRows FolderWriter::rows_of(const SegmentRecord& segment) const {
  return map_segment(segment_file(generation_, segment.id), segment.rows, settings_.model.embed_dim,
                     scalar_type(settings_.vectors));
}

// Rows that lie evenly spread over all segments and have this side, float [n, D] of length 1.
torch::Tensor FolderWriter::training_sample(ClipSide side, int64_t size) const {
  int64_t total = 0;
  for (const SegmentRecord& segment : catalog_->segments()) total += segment.rows;
  std::vector<torch::Tensor> parts;
  for (const SegmentRecord& segment : catalog_->segments()) {
    const MomentRows rows = rows_of(segment);
    if (is_all_lacking(vectors_of(rows, side))) continue;
    const int64_t share = std::max<int64_t>(1, size * segment.rows / total);
    const torch::Tensor positions =
        torch::linspace(0, static_cast<double>(segment.rows - 1), share, torch::kFloat64).to(torch::kInt64);
    const torch::Tensor some = directions_of(vectors_of(rows, side).index_select(0, positions));
    parts.push_back(some.index({some.abs().sum(1) > 0}));
  }
  return parts.empty() ? torch::empty({0, settings_.model.embed_dim}) : torch::cat(parts);
}

void FolderWriter::make_lists() {
  int64_t moments = 0;
  for (const SegmentRecord& segment : catalog_->segments()) moments += segment.rows;
  IndexKind kind = settings_.index;
  if (kind == IndexKind::automatic)
    kind = moments < kListsFrom ? IndexKind::flat : moments <= kCodesFrom ? IndexKind::ivf : IndexKind::ivfpq;
  if (kind == IndexKind::flat) {
    for (const SegmentRecord& segment : catalog_->segments())
      fs::remove(lists_file(segment_file(generation_, segment.id)));
    remove_list_models(generation_);
  }
  if (kind == IndexKind::flat || moments == 0) return;
  std::optional<ListModels> models = load_list_models(generation_);
  const bool wants_codes = kind == IndexKind::ivfpq;
  const auto lacks_codes = [](const ListModel& model) { return model.is_there() && !model.has_codes(); };
  if (!models || (wants_codes && (lacks_codes(models->audio) || lacks_codes(models->video)))) {
    models.emplace();
    const int64_t size = training_size(moments);
    const torch::Tensor audio = training_sample(ClipSide::audio, size),
                        video = training_sample(ClipSide::video, size);
    log_->info("learning lists for {} moments from {} sounds and {} pictures{}", moments, audio.size(0),
               video.size(0), wants_codes ? "; then codes, which takes minutes without a sign" : "");
    int64_t rounds = 0;
    Progress progress({.title = "learning lists",
                       .unit = "rounds",
                       .total = kListRounds * ((audio.size(0) > 0) + (video.size(0) > 0)),
                       .quiet = !log_->should_log(spdlog::level::info)});
    const ListTraining training{.num_vectors = moments, .codes = wants_codes, .after_round = [&] {
                                  progress.update(++rounds);
                                  return !StopSignal::requested();
                                }};
    if (audio.size(0) > 0) models->audio = train_lists(audio, video, training);
    if (video.size(0) > 0) models->video = train_lists(video, audio, training);
    if (StopSignal::requested()) return;  // every vector is compared until the next run makes them
    save_list_models(generation_, *models);
  }
  assign_lists(*models);
}

void FolderWriter::assign_lists(const ListModels& models) {
  std::vector<SegmentRecord> without;
  int64_t moments = 0, done = 0;
  for (const SegmentRecord& segment : catalog_->segments()) {
    const fs::path file = lists_file(segment_file(generation_, segment.id));
    const bool is_small = segment.rows < kLeastSegmentWithLists && settings_.index == IndexKind::automatic;
    if (is_small || map_segment_lists(file, models, segment.rows)) continue;
    without.push_back(segment);
    moments += segment.rows;
  }
  const bool takes_long = moments >= kListsFrom / 10;
  Progress progress({.title = "assigning lists",
                     .unit = "moments",
                     .total = moments,
                     .quiet = !takes_long || !log_->should_log(spdlog::level::info)});
  for (const SegmentRecord& segment : without) {
    write_segment_lists(lists_file(segment_file(generation_, segment.id)), rows_of(segment), models);
    progress.update(done += segment.rows);
  }
  if (!without.empty()) progress.finish();
}

void FolderWriter::merge() {
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

bool FolderWriter::add_file(const LibraryFile& file, const std::vector<NewMoment>& moments,
                            const std::vector<FileFailure>& failures) {
  catalog_->add_file(file, moments, failures);
  seal_if_due();
  return true;
}

bool FolderWriter::set_place(const LibraryFile& known, const std::string& path, const std::string& audio_path,
                             const std::string& stamp) {
  return catalog_->set_place(known, path, audio_path, stamp);
}

std::unique_ptr<WorkShare> FolderWriter::share(const std::vector<IndexJob>& jobs) {
  return std::make_unique<WholeWork>(jobs.size());
}

void FolderWriter::seal_if_due() {
  if (!lock_ || catalog_->tail_size() < kTailMoments) return;
  write({});
  merge();
}

void FolderWriter::seal() {
  if (catalog_->tail_size() > 0) {
    write({});
    merge();
  }
  make_lists();
}

LibraryCheck FolderWriter::check() {
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
    remove_segment_files(file);
  }
  result.files_to_repeat = static_cast<int64_t>(files.size());
  return result;
}

void FolderWriter::finish() {
  if (start_ != LibraryStart::rebuild) return;
  const int64_t former = read_library_settings(library_).generation;
  write_library_settings(library_, settings_);
  fs::remove_all(generation_folder(library_, former));
  start_ = LibraryStart::add;
}

}  // namespace cavmae
