#include "cavmae/search/folder_reader.h"

#include "cavmae/core/error.h"
#include "cavmae/core/paths.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

constexpr int kTries = 5;  // of a library that is being rebuilt or merged meanwhile

}  // namespace

FolderReader::FolderReader(const fs::path& library) : LibraryReader(library.string()), library_(library) {
  folder_snapshot();
}

std::shared_ptr<const FolderSnapshot> FolderReader::folder_snapshot() {
  const std::lock_guard lock(mutex_);
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
        snapshot_ = std::make_shared<const FolderSnapshot>(*catalog_, settings, generation);
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

std::unique_ptr<MomentSelection> FolderReader::select(const SearchScope& scope) {
  auto now = folder_snapshot();
  torch::Tensor files = scope.under.empty() ? torch::Tensor() : files_under(scope.under);
  return std::make_unique<FolderSelection>(std::move(now), std::move(files), scope.exact);
}

std::optional<LibraryFile> FolderReader::file(int64_t id) {
  const std::lock_guard lock(mutex_);
  return catalog_->file(id);
}

std::optional<Moment> FolderReader::moment(int64_t id) {
  const std::lock_guard lock(mutex_);
  return catalog_->moment(id);
}

std::vector<FileFailure> FolderReader::failures() {
  const std::lock_guard lock(mutex_);
  return catalog_->failures();
}

torch::Tensor FolderReader::files_under(const std::string& path) {
  const std::string wanted = absolute_path(path).string();
  const std::lock_guard lock(mutex_);
  return torch::tensor(catalog_->files_under(wanted), torch::kInt64);
}

std::vector<LibraryFile> FolderReader::files_called(const std::string& name) {
  const std::lock_guard lock(mutex_);
  return catalog_->files_called(name);
}

std::vector<Moment> FolderReader::moments_of(int64_t file) {
  const std::lock_guard lock(mutex_);
  return catalog_->moments_of(file);
}

ClipVectors FolderReader::vectors(int64_t moment) {
  const std::shared_ptr<const FolderSnapshot> now = folder_snapshot();
  for (const FolderSnapshot::Part& part : now->parts()) {
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
