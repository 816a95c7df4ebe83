#include "cavmae/search/library_reader.h"

#include <cmath>

#include "cavmae/core/error.h"
#include "cavmae/core/paths.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

constexpr int kTries = 5;  // of a library that is being rebuilt or merged meanwhile

// Whether `path` is `name` or ends with its parts.
bool ends_with_path(const std::string& path, const std::string& name) {
  if (path == name) return true;
  return path.size() > name.size() && path.ends_with(name) && path[path.size() - name.size() - 1] == '/';
}

}  // namespace

LibraryReader::LibraryReader(const fs::path& library) : library_(library) {
  snapshot();
}

std::shared_ptr<const Snapshot> LibraryReader::current(std::unique_lock<std::mutex>&) {
  for (int i = 1;; ++i) {
    try {
      const LibrarySettings settings = read_library_settings(library_);
      const fs::path generation = generation_folder(library_, settings.generation);
      if (catalog_ == nullptr || generation_ != settings.generation) {
        snapshot_.reset();
        catalog_ = std::make_unique<Catalog>(generation / "library.sqlite", DatabaseAccess::read);
        generation_ = settings.generation;
      }
      const int64_t version = catalog_->data_version();
      if (snapshot_ == nullptr || version != data_version_) {
        snapshot_ = std::make_shared<const Snapshot>(*catalog_, settings, generation);
        data_version_ = version;
      }
      return snapshot_;
    } catch (const Error&) {
      // A segment that was merged, or a generation that was replaced, between two steps.
      if (i == kTries) throw;
      catalog_.reset();
      snapshot_.reset();
    }
  }
}

std::shared_ptr<const Snapshot> LibraryReader::snapshot() {
  std::unique_lock lock(mutex_);
  return current(lock);
}

std::optional<LibraryFile> LibraryReader::file(int64_t id) {
  const std::lock_guard lock(mutex_);
  return catalog_->file(id);
}

std::optional<Moment> LibraryReader::moment(int64_t id) {
  const std::lock_guard lock(mutex_);
  return catalog_->moment(id);
}

std::vector<FileFailure> LibraryReader::failures() {
  const std::lock_guard lock(mutex_);
  return catalog_->failures();
}

torch::Tensor LibraryReader::files_under(const std::string& path) {
  const std::string wanted = absolute_path(path).string();
  const std::lock_guard lock(mutex_);
  return torch::tensor(catalog_->files_under(wanted), torch::kInt64);
}

Moment LibraryReader::find_moment(const std::string& name, double seconds) {
  const std::lock_guard lock(mutex_);
  std::vector<LibraryFile> found;
  const std::string absolute = absolute_path(name).string();
  for (LibraryFile& file : catalog_->files_called(fs::path(name).filename().string())) {
    if (file.path == absolute || file.audio_path == absolute) {
      found = {file};
      break;
    }
    if (ends_with_path(file.path, name)) found.push_back(std::move(file));
  }
  CAVMAE_CHECK_AS(DataError, !found.empty(), name, ": is not in the library ", library_.string(),
                  "; cavmae index adds it");
  CAVMAE_CHECK_AS(DataError, found.size() == 1, name, ": several files of the library are called so (",
                  found[0].path, ", ", found.back().path, "); give more of the path");
  const auto at_ms = static_cast<double>(to_milliseconds(seconds));
  std::optional<Moment> best;
  double best_distance = 0;
  for (const Moment& moment : catalog_->moments_of(found[0].id)) {
    const double distance = std::abs(static_cast<double>(moment.start_ms + moment.end_ms) / 2 - at_ms);
    if (best && distance >= best_distance) continue;
    best = moment;
    best_distance = distance;
  }
  const double end = to_seconds(found[0].end_ms);
  CAVMAE_CHECK_AS(DataError, best && (seconds >= 0 && (seconds <= end || end == 0)), found[0].path,
                  ": has no second ", seconds, "; it ends at ", end, " s");
  return *best;
}

ClipVectors LibraryReader::vectors(int64_t moment) {
  const std::shared_ptr<const Snapshot> now = snapshot();
  for (const Snapshot::Part& part : now->parts()) {
    const torch::Tensor rows = (part.rows.moment == moment).nonzero();
    if (rows.size(0) == 0) continue;
    const int64_t row = rows[0][0].item<int64_t>();
    if (part.alive.defined() && !part.alive[row].item<bool>()) continue;
    ClipVectors out;
    const auto read = [&](const torch::Tensor& vectors) {
      torch::Tensor vector = vectors[row].to(torch::kFloat32, /*non_blocking=*/false, /*copy=*/true);
      return vector.isfinite().all().item<bool>() ? vector : torch::Tensor();
    };
    out.audio = read(part.rows.audio);
    out.video = read(part.rows.video);
    return out;
  }
  throw DataError(concat(library_.string(), ": has no moment ", moment));
}

}  // namespace cavmae
