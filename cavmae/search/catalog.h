// What a library knows besides vectors: its files, their moments, what failed, and in which segment the
// vectors of a moment lie. One generation's library.sqlite. Private to this folder; one thread an object.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cavmae/search/library_file.h"
#include "cavmae/search/moment_rows.h"
#include "cavmae/search/sqlite.h"

namespace cavmae {

struct SegmentRecord {
  int64_t id = 0;
  int64_t rows = 0;
  std::string checksum;
};

struct SegmentRow {
  int64_t moment = 0;
  int64_t row = 0;
};

class Catalog {
 public:
  Catalog(const std::filesystem::path& file, DatabaseAccess access);

  Database& database() { return database_; }
  // Changes whenever another connection has committed something.
  int64_t data_version();

  // Files.
  std::vector<LibraryFile> files();
  std::optional<LibraryFile> file(int64_t id);
  std::optional<LibraryFile> file_at(const std::string& path, const std::string& audio_path);
  std::vector<LibraryFile> files_of_content(const std::string& content);
  // At or below an absolute path: their ids, ascending.
  std::vector<int64_t> files_under(const std::string& path);
  // Whose last name is this one.
  std::vector<LibraryFile> files_called(const std::string& name);
  LibraryCounts counts();

  // Replaces what is known of the file at that path, and its failure; one transaction. The id.
  int64_t add_file(const LibraryFile& file, const std::vector<NewMoment>& moments,
                   const std::vector<FileFailure>& failures);
  void remove_file(int64_t id);
  // A file that has moved, or whose stamp alone has changed.
  // False: it is no longer where `known` says.
  bool set_place(const LibraryFile& known, const std::string& path, const std::string& audio_path,
                 const std::string& stamp);

  // Failures.
  std::vector<FileFailure> failures();
  void set_failures(const std::string& path, const std::vector<FileFailure>& failures);

  // Moments.
  std::optional<Moment> moment(int64_t id);
  std::vector<Moment> moments_of(int64_t file);
  int64_t tail_size();
  void for_each_in_tail(const std::function<void(const StoredMoment&)>& take);

  // Segments.
  std::vector<SegmentRecord> segments();
  std::vector<int64_t> dead_rows(int64_t segment);
  // The moments move to the new segment, from the tail or from `replaced` segments, which go. A moment that
  // was removed meanwhile is a dead row of the new one. One transaction. The segment's id is `segment.id`.
  void add_segment(const SegmentRecord& segment, const std::vector<SegmentRow>& rows,
                   const std::vector<int64_t>& replaced);
  int64_t next_segment_id();
  // The files with moments in a segment.
  std::vector<int64_t> files_in_segment(int64_t segment);
  // One that has been lost: the files with moments in it lose all their moments and their stamps, so that
  // they count as changed. One transaction.
  void remove_segment(int64_t segment);

 private:
  void remove_moments(int64_t file);
  void write_failures(const std::string& path, const std::vector<FileFailure>& failures);

  Database database_;
};

}  // namespace cavmae
