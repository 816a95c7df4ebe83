#include "cavmae/search/catalog.h"

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

// Version of the tables, kept as SQLite's user_version.
constexpr int64_t kSchemaVersion = 1;

constexpr const char* kSchema = R"(
CREATE TABLE files (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  path TEXT NOT NULL,
  audio_path TEXT NOT NULL,
  stamp TEXT NOT NULL,
  content TEXT NOT NULL,
  end_ms INTEGER NOT NULL,
  has_audio INTEGER NOT NULL,
  has_video INTEGER NOT NULL,
  UNIQUE (path, audio_path)
);
CREATE INDEX files_by_content ON files (content);
CREATE TABLE moments (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  file INTEGER NOT NULL REFERENCES files (id),
  start_ms INTEGER NOT NULL,
  end_ms INTEGER NOT NULL,
  segment INTEGER,
  segment_row INTEGER,
  UNIQUE (file, start_ms)
);
CREATE INDEX moments_by_segment ON moments (segment);
CREATE TABLE tail (
  moment INTEGER PRIMARY KEY REFERENCES moments (id),
  audio BLOB NOT NULL,
  video BLOB NOT NULL
);
CREATE TABLE segments (id INTEGER PRIMARY KEY AUTOINCREMENT, rows INTEGER NOT NULL, checksum TEXT NOT NULL);
CREATE TABLE dead_rows (segment INTEGER NOT NULL, segment_row INTEGER NOT NULL, PRIMARY KEY (segment, segment_row))
  WITHOUT ROWID;
CREATE TABLE failures (
  path TEXT NOT NULL,
  side TEXT NOT NULL,
  stamp TEXT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (path, side)
);
)";

constexpr const char* kFileColumns =
    "SELECT id, path, audio_path, stamp, content, end_ms, has_audio, has_video, "
    "(SELECT COUNT(*) FROM moments WHERE file = files.id) FROM files ";

LibraryFile file_of(const Statement& row) {
  return {.id = row.integer(0),
          .path = row.text(1),
          .audio_path = row.text(2),
          .stamp = row.text(3),
          .content = row.text(4),
          .end_ms = row.integer(5),
          .has_audio = row.integer(6) != 0,
          .has_video = row.integer(7) != 0,
          .num_moments = row.integer(8)};
}

Moment moment_of(const Statement& row) {
  return {.id = row.integer(0), .file = row.integer(1), .start_ms = row.integer(2), .end_ms = row.integer(3)};
}

int64_t only_number(Database& database, const std::string& sql) {
  Statement statement(database, sql);
  return statement.step() ? statement.integer(0) : 0;
}

}  // namespace

Catalog::Catalog(const std::filesystem::path& file, DatabaseAccess access) : database_(file, access) {
  const int64_t version = only_number(database_, "PRAGMA user_version");
  if (version == 0 && access == DatabaseAccess::create) {
    Transaction transaction(database_, Transaction::Kind::write);
    database_.execute(kSchema);
    database_.execute("PRAGMA user_version = " + std::to_string(kSchemaVersion));
    transaction.commit();
    return;
  }
  CAVMAE_CHECK_AS(DataError, version == kSchemaVersion, file.string(), ": has tables of version ", version,
                  ", this program knows version ", kSchemaVersion, "; make the library anew by --rebuild");
}

int64_t Catalog::data_version() {
  return only_number(database_, "PRAGMA data_version");
}

std::vector<LibraryFile> Catalog::files() {
  std::vector<LibraryFile> out;
  Statement rows(database_, std::string(kFileColumns) + "ORDER BY path, audio_path");
  while (rows.step()) out.push_back(file_of(rows));
  return out;
}

std::optional<LibraryFile> Catalog::file(int64_t id) {
  Statement rows(database_, std::string(kFileColumns) + "WHERE id = ?");
  if (!rows.with(id).step()) return std::nullopt;
  return file_of(rows);
}

std::optional<LibraryFile> Catalog::file_at(const std::string& path, const std::string& audio_path) {
  Statement rows(database_, std::string(kFileColumns) + "WHERE path = ? AND audio_path = ?");
  if (!rows.with(path, audio_path).step()) return std::nullopt;
  return file_of(rows);
}

std::vector<LibraryFile> Catalog::files_of_content(const std::string& content) {
  std::vector<LibraryFile> out;
  Statement rows(database_, std::string(kFileColumns) + "WHERE content = ? ORDER BY id");
  for (rows.with(content); rows.step();) out.push_back(file_of(rows));
  return out;
}

std::vector<int64_t> Catalog::files_under(const std::string& path) {
  std::string folder = path;
  if (!folder.ends_with('/')) folder += '/';
  std::string behind = folder;
  ++behind.back();  // '0': the first text behind all that begin with the folder
  std::vector<int64_t> out;
  Statement rows(database_, "SELECT id FROM files WHERE path = ? OR (path >= ? AND path < ?) ORDER BY id");
  for (rows.with(path, folder, behind); rows.step();) out.push_back(rows.integer(0));
  return out;
}

std::vector<LibraryFile> Catalog::files_called(const std::string& name) {
  std::vector<LibraryFile> out;
  Statement rows(database_, std::string(kFileColumns) +
                                "WHERE path = ?1 OR substr(path, -length(?2)) = ?2 OR audio_path = ?1 OR "
                                "substr(audio_path, -length(?2)) = ?2 ORDER BY path");
  for (rows.with(name, "/" + name); rows.step();) out.push_back(file_of(rows));
  return out;
}

LibraryCounts Catalog::counts() {
  // Moments by where their vectors lie: rows of the table itself, which to count would take all of them. One
  // statement, so that a writer that seals meanwhile changes nothing.
  constexpr const char* kMoments =
      "SELECT (SELECT COALESCE(SUM(rows), 0) FROM segments) - (SELECT COUNT(*) FROM dead_rows) "
      "+ (SELECT COUNT(*) FROM tail)";
  return {.files = only_number(database_, "SELECT COUNT(*) FROM files"),
          .moments = only_number(database_, kMoments),
          .failures = only_number(database_, "SELECT COUNT(*) FROM failures"),
          .segments = only_number(database_, "SELECT COUNT(*) FROM segments"),
          .in_tail = tail_size()};
}

void Catalog::remove_moments(int64_t file) {
  Statement(
      database_,
      "INSERT INTO dead_rows SELECT segment, segment_row FROM moments WHERE file = ? AND segment IS NOT NULL")
      .run(file);
  Statement(database_, "DELETE FROM tail WHERE moment IN (SELECT id FROM moments WHERE file = ?)").run(file);
  Statement(database_, "DELETE FROM moments WHERE file = ?").run(file);
}

void Catalog::write_failures(const std::string& path, const std::vector<FileFailure>& failures) {
  Statement(database_, "DELETE FROM failures WHERE path = ?").run(path);
  Statement insert(database_,
                   "INSERT OR REPLACE INTO failures (path, side, stamp, reason) VALUES (?, ?, ?, ?)");
  for (const FileFailure& failure : failures)
    insert.run(failure.path, side_name(failure.side), failure.stamp, failure.reason);
}

int64_t Catalog::add_file(const LibraryFile& file, const std::vector<NewMoment>& moments,
                          const std::vector<FileFailure>& failures) {
  Transaction transaction(database_, Transaction::Kind::write);
  write_failures(file.path, failures);
  int64_t id = 0;
  if (const auto known = file_at(file.path, file.audio_path)) {
    id = known->id;
    remove_moments(id);
    Statement(
        database_,
        "UPDATE files SET stamp = ?, content = ?, end_ms = ?, has_audio = ?, has_video = ? WHERE id = ?")
        .run(file.stamp, file.content, file.end_ms, file.has_audio, file.has_video, id);
  } else {
    Statement(database_,
              "INSERT INTO files (path, audio_path, stamp, content, end_ms, has_audio, has_video) "
              "VALUES (?, ?, ?, ?, ?, ?, ?)")
        .run(file.path, file.audio_path, file.stamp, file.content, file.end_ms, file.has_audio,
             file.has_video);
    id = database_.last_insert_id();
  }
  Statement add_moment(database_, "INSERT INTO moments (file, start_ms, end_ms) VALUES (?, ?, ?)");
  Statement add_vectors(database_, "INSERT INTO tail (moment, audio, video) VALUES (?, ?, ?)");
  for (const NewMoment& moment : moments) {
    add_moment.run(id, moment.start_ms, moment.end_ms);
    add_vectors.run(database_.last_insert_id(), std::string_view(moment.audio),
                    std::string_view(moment.video));
  }
  transaction.commit();
  return id;
}

void Catalog::remove_file(int64_t id) {
  Transaction transaction(database_, Transaction::Kind::write);
  if (const auto known = file(id)) write_failures(known->path, {});
  remove_moments(id);
  Statement(database_, "DELETE FROM files WHERE id = ?").run(id);
  transaction.commit();
}

bool Catalog::set_place(const LibraryFile& known, const std::string& path, const std::string& audio_path,
                        const std::string& stamp) {
  Statement(
      database_,
      "UPDATE files SET path = ?, audio_path = ?, stamp = ? WHERE id = ? AND path = ? AND audio_path = ?")
      .run(path, audio_path, stamp, known.id, known.path, known.audio_path);
  return database_.changes() > 0;
}

std::vector<FileFailure> Catalog::failures() {
  std::vector<FileFailure> out;
  Statement rows(database_, "SELECT path, stamp, side, reason FROM failures ORDER BY path, side");
  while (rows.step())
    out.push_back({.path = rows.text(0),
                   .stamp = rows.text(1),
                   .side = side_of_name(rows.text(2)),
                   .reason = rows.text(3)});
  return out;
}

void Catalog::set_failures(const std::string& path, const std::vector<FileFailure>& failures) {
  Transaction transaction(database_, Transaction::Kind::write);
  write_failures(path, failures);
  transaction.commit();
}

std::optional<Moment> Catalog::moment(int64_t id) {
  Statement rows(database_, "SELECT id, file, start_ms, end_ms FROM moments WHERE id = ?");
  if (!rows.with(id).step()) return std::nullopt;
  return moment_of(rows);
}

std::vector<Moment> Catalog::moments_of(int64_t file) {
  std::vector<Moment> out;
  Statement rows(database_,
                 "SELECT id, file, start_ms, end_ms FROM moments WHERE file = ? ORDER BY start_ms");
  for (rows.with(file); rows.step();) out.push_back(moment_of(rows));
  return out;
}

int64_t Catalog::tail_size() {
  return only_number(database_, "SELECT COUNT(*) FROM tail");
}

void Catalog::for_each_in_tail(const std::function<void(const StoredMoment&)>& take) {
  // A cross join keeps its order: SQLite would go through all moments to find those few in their order.
  Statement rows(database_,
                 "SELECT moments.id, file, start_ms, end_ms, audio, video FROM tail "
                 "CROSS JOIN moments ON moments.id = tail.moment ORDER BY tail.moment");
  while (rows.step())
    take({.moment = moment_of(rows),
          .audio = std::string(rows.bytes(4)),
          .video = std::string(rows.bytes(5))});
}

std::vector<SegmentRecord> Catalog::segments() {
  std::vector<SegmentRecord> out;
  Statement rows(database_, "SELECT id, rows, checksum FROM segments ORDER BY id");
  while (rows.step())
    out.push_back({.id = rows.integer(0), .rows = rows.integer(1), .checksum = rows.text(2)});
  return out;
}

std::vector<int64_t> Catalog::dead_rows(int64_t segment) {
  std::vector<int64_t> out;
  Statement rows(database_, "SELECT segment_row FROM dead_rows WHERE segment = ? ORDER BY segment_row");
  for (rows.with(segment); rows.step();) out.push_back(rows.integer(0));
  return out;
}

int64_t Catalog::next_segment_id() {
  return 1 + only_number(database_, "SELECT seq FROM sqlite_sequence WHERE name = 'segments'");
}

void Catalog::add_segment(const SegmentRecord& segment, const std::vector<SegmentRow>& rows,
                          const std::vector<int64_t>& replaced) {
  Transaction transaction(database_, Transaction::Kind::write);
  Statement(database_, "INSERT INTO segments (id, rows, checksum) VALUES (?, ?, ?)")
      .run(segment.id, segment.rows, segment.checksum);
  Statement place(database_, "UPDATE moments SET segment = ?, segment_row = ? WHERE id = ?");
  Statement dead(database_, "INSERT INTO dead_rows VALUES (?, ?)");
  Statement leave_tail(database_, "DELETE FROM tail WHERE moment = ?");
  for (const SegmentRow& row : rows) {
    place.run(segment.id, row.row, row.moment);
    if (database_.changes() == 0) dead.run(segment.id, row.row);
    leave_tail.run(row.moment);
  }
  for (const int64_t old : replaced) {
    Statement(database_, "DELETE FROM dead_rows WHERE segment = ?").run(old);
    Statement(database_, "DELETE FROM segments WHERE id = ?").run(old);
  }
  transaction.commit();
}

std::vector<int64_t> Catalog::files_in_segment(int64_t segment) {
  std::vector<int64_t> out;
  Statement rows(database_, "SELECT DISTINCT file FROM moments WHERE segment = ? ORDER BY file");
  for (rows.with(segment); rows.step();) out.push_back(rows.integer(0));
  return out;
}

void Catalog::remove_segment(int64_t segment) {
  Transaction transaction(database_, Transaction::Kind::write);
  for (const int64_t file : files_in_segment(segment)) {
    remove_moments(file);
    Statement(database_, "UPDATE files SET stamp = '', content = '' WHERE id = ?").run(file);
  }
  Statement(database_, "DELETE FROM dead_rows WHERE segment = ?").run(segment);
  Statement(database_, "DELETE FROM segments WHERE id = ?").run(segment);
  transaction.commit();
}

}  // namespace cavmae
