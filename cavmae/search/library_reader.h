// A library as those see it who search in it: always whole, also while another process adds to it. Safe from
// several threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/eval/model.h"
#include "cavmae/search/snapshot.h"

namespace cavmae {

class LibraryReader {
 public:
  // Throws ConfigError where there is no library, DataError where it is damaged.
  explicit LibraryReader(const std::filesystem::path& library);

  const std::filesystem::path& folder() const { return library_; }
  // What is in it now: made anew when something was added, removed or rebuilt since the last call.
  std::shared_ptr<const Snapshot> snapshot();

  // Of what is in it now; nothing when it is gone.
  std::optional<LibraryFile> file(int64_t id);
  std::optional<Moment> moment(int64_t id);
  std::vector<FileFailure> failures();
  // The files at or below a path, whole names of folders: "/films/a" is not below "/films/ab". int64 [n], ids
  torch::Tensor files_under(const std::string& path);

  // The moment of a file in which `seconds` is nearest to the middle. `file`: its path or the end of it
  // ("talks/a.mp4"). Throws DataError: no such file, several that end so, no such second.
  Moment find_moment(const std::string& file, double seconds);
  // Its vectors; of a side that it lacks undefined. Throws DataError when it is gone.
  ClipVectors vectors(int64_t moment);

 private:
  std::shared_ptr<const Snapshot> current(std::unique_lock<std::mutex>& held);

  std::filesystem::path library_;
  std::mutex mutex_;  // of what follows
  int64_t generation_ = 0, data_version_ = 0;
  std::unique_ptr<Catalog> catalog_;
  std::shared_ptr<const Snapshot> snapshot_;
};

}  // namespace cavmae
