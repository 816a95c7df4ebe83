// Adding to a library. An interface that each kind of library implements: what is written is whole at any
// moment, and each change is one transaction. One owner and one thread, but for share(). open_library.h opens
// one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/search/library_file.h"
#include "cavmae/search/library_settings.h"
#include "cavmae/search/moment_rows.h"
#include "cavmae/search/work_share.h"

namespace cavmae {

struct IndexJob;

// What becomes of a library that is there: it is added to, or a new generation of it is made from nothing,
// which counts once it is whole.
enum class LibraryStart { add, rebuild };

// What was found of what is stored, see LibraryWriter::check().
struct LibraryCheck {
  int64_t segments = 0;
  std::vector<std::string> damaged;  // their files, and what is wrong
  int64_t files_to_repeat = 0;       // whose moments lay in them
};

class LibraryWriter {
 public:
  virtual ~LibraryWriter() = default;

  const LibrarySettings& settings() const { return settings_; }

  // What is in it.
  virtual LibraryCounts counts() = 0;
  virtual std::vector<LibraryFile> files() = 0;
  virtual std::vector<FileFailure> failures() = 0;
  virtual std::optional<LibraryFile> file_at(const std::string& path, const std::string& audio_path) = 0;
  virtual std::vector<LibraryFile> files_of_content(const std::string& content) = 0;

  // Replaces what is known of the file at that path, and its failures. False: another process has done it.
  virtual bool add_file(const LibraryFile& file, const std::vector<NewMoment>& moments,
                        const std::vector<FileFailure>& failures) = 0;
  virtual void remove_file(int64_t id) = 0;
  // A file that has moved, or whose stamp alone has changed. False: another process has moved it elsewhere.
  virtual bool set_place(const LibraryFile& known, const std::string& path, const std::string& audio_path,
                         const std::string& stamp) = 0;
  virtual void set_failures(const std::string& path, const std::vector<FileFailure>& failures) = 0;

  // This process's part in the work. Its calls may come from other threads than the writer's. `jobs` need not
  // outlive the call.
  virtual std::unique_ptr<WorkShare> share(const std::vector<IndexJob>& jobs) = 0;
  // Makes what was added as fast to search as the rest.
  virtual void seal() = 0;
  // Reads all that is stored and compares checksums. What is lost or damaged is removed, and the files that
  // it was of count as changed, so that indexing them again mends the library.
  virtual LibraryCheck check() = 0;
  // A rebuilt generation becomes the library, and the former one is removed.
  virtual void finish() = 0;

 protected:
  explicit LibraryWriter(LibrarySettings settings) : settings_(std::move(settings)) {}

  LibrarySettings settings_;
};

}  // namespace cavmae
