#include "cavmae/search/postgres/writer.h"

#include <algorithm>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/search/library_snapshot.h"
#include "cavmae/search/postgres/schema.h"
#include "cavmae/search/postgres/tables.h"
#include "cavmae/search/postgres/texts.h"
#include "cavmae/search/postgres/url.h"

namespace cavmae {
namespace {

// As a signed number that keeps their order.
int64_t stored_hash(int64_t moment) {
  return static_cast<int64_t>(sample_hash(moment) ^ (uint64_t{1} << 63));
}

void check_wanted(const std::string& name, const LibrarySettings& wanted, LibraryStart start) {
  CAVMAE_CHECK_AS(
      ConfigError, start == LibraryStart::add, name,
      ": a library in PostgreSQL is not made anew beside itself; fill another database, or remove "
      "this library by DROP SCHEMA cavmae CASCADE and leave out --rebuild");
  CAVMAE_CHECK_AS(ConfigError, wanted.index == IndexKind::automatic, name,
                  ": a library in PostgreSQL has an HNSW index, not ", enum_name(wanted.index),
                  "; leave out --index");
  CAVMAE_CHECK_AS(
      ConfigError, wanted.vectors != VectorType::float32, name,
      ": a library in PostgreSQL keeps vectors as float16 (halfvec) or text, not float32; leave out "
      "--vectors");
  constexpr int64_t kWidest = 4000;  // of an HNSW index over halfvec
  CAVMAE_CHECK_AS(ConfigError, wanted.vectors == VectorType::text || wanted.model.embed_dim <= kWidest, name,
                  ": vectors of ", wanted.model.embed_dim, " numbers are wider than the ", kWidest,
                  " that pgvector's index takes");
}

void write_failures(PostgresConnection& connection, const std::string& path,
                    const std::vector<FileFailure>& failures) {
  connection.run("DELETE FROM cavmae.failures WHERE path = $1", path_to_text(path));
  for (const FileFailure& failure : failures)
    connection.run(
        "INSERT INTO cavmae.failures (path, side, stamp, reason) VALUES ($1, $2, $3, $4) ON CONFLICT (path, side) "
        "DO UPDATE SET stamp = excluded.stamp, reason = excluded.reason",
        path_to_text(failure.path), side_name(failure.side), path_to_text(failure.stamp),
        path_to_text(failure.reason));
}

// Last in a transaction: others that change the library wait for it from here on.
void count_change(PostgresConnection& connection, int64_t files, int64_t moments) {
  connection.run(
      "UPDATE cavmae.library SET changes = changes + 1, files = files + $1::bigint, moments = moments + $2::bigint",
      files, moments);
}

int64_t remove_moments(PostgresConnection& connection, int64_t file) {
  return connection.run("DELETE FROM cavmae.moments WHERE file = $1", file).changed();
}

std::string copy_vector_field(const std::string& bytes) {
  return bytes.empty() ? "\\N" : vector_text(std::string_view(bytes));
}

void copy_moments(PostgresConnection& connection, int64_t file, const std::vector<NewMoment>& moments) {
  const PostgresRows ids =
      connection.run("SELECT nextval('cavmae.moment_ids') FROM generate_series(1, $1::bigint)",
                     static_cast<int64_t>(moments.size()));
  std::string lines;
  for (size_t i = 0; i < moments.size(); ++i) {
    const NewMoment& moment = moments[i];
    const int64_t id = ids.integer(static_cast<int64_t>(i), 0);
    lines += concat(id, '\t', file, '\t', moment.start_ms, '\t', moment.end_ms, '\t', stored_hash(id), '\t',
                    copy_vector_field(moment.audio), '\t', copy_vector_field(moment.video), '\n');
  }
  connection.copy_in("COPY cavmae.moments (id, file, start_ms, end_ms, hash, audio, video) FROM STDIN",
                     lines);
}

std::optional<LibraryFile> find_file(PostgresConnection& connection, const std::string& path,
                                     const std::string& audio_path) {
  return first_file_of(connection.run(std::string(kSelectFiles) + "WHERE path = $1 AND audio_path = $2",
                                      path_to_text(path), path_to_text(audio_path)));
}

int64_t write_file(PostgresConnection& connection, const LibraryFile& file, int64_t num_moments) {
  return connection
      .run(
          "INSERT INTO cavmae.files (path, audio_path, stamp, content, end_ms, has_audio, has_video, num_moments) "
          "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (path, audio_path) DO UPDATE SET stamp = "
          "excluded.stamp, content = excluded.content, end_ms = excluded.end_ms, has_audio = excluded.has_audio, "
          "has_video = excluded.has_video, num_moments = excluded.num_moments RETURNING id",
          path_to_text(file.path), path_to_text(file.audio_path), path_to_text(file.stamp), file.content,
          file.end_ms, file.has_audio, file.has_video, num_moments)
      .integer(0, 0);
}

}  // namespace

PostgresWriter::PostgresWriter(const std::string& url, const LibrarySettings& wanted, LibraryStart start,
                               const std::shared_ptr<Log>& log, double patience_seconds)
    : LibraryWriter(wanted) {
  const std::string name = shown_url(url);
  check_wanted(name, wanted, start);
  session_ = std::make_shared<PostgresSession>(url, PostgresPatience{patience_seconds}, log,
                                               [this, name, wanted](PostgresConnection& connection) {
                                                 make_library_tables(connection, name, wanted);
                                                 migrate_library_tables(connection, name);
                                                 worker_.begin(connection);
                                               });
  agree_on_settings(wanted);
}

// What it is filled from grows by what this process brings.
void PostgresWriter::agree_on_settings(const LibrarySettings& wanted) {
  const std::string& name = session_->name();
  settings_ = session_->transaction([&](PostgresConnection& connection) {
    connection.run("SELECT 1 FROM cavmae.library FOR UPDATE");
    LibrarySettings settings = read_state(connection, name).settings;
    check_same_model(name, settings, wanted.model);
    CAVMAE_CHECK_AS(ConfigError, settings.hop_seconds == wanted.hop_seconds, name, ": its moments are ",
                    settings.hop_seconds, " s apart, not ", wanted.hop_seconds,
                    "; leave out --hop, or fill another database");
    CAVMAE_CHECK_AS(ConfigError, settings.vectors == wanted.vectors, name, ": its vectors are ",
                    enum_name(settings.vectors), ", not ", enum_name(wanted.vectors),
                    "; leave out --vectors, or fill another database");
    bool is_new = false;
    for (const std::string& path : wanted.data) {
      if (std::ranges::find(settings.data, path) != settings.data.end()) continue;
      settings.data.push_back(path);
      is_new = true;
    }
    if (is_new) {
      connection.run("UPDATE cavmae.library SET settings = $1", to_json(settings).dump());
      count_change(connection, 0, 0);
    }
    return settings;
  });
}

LibraryCounts PostgresWriter::counts() {
  return session_->use(
      [&](PostgresConnection& connection) { return read_state(connection, session_->name()).counts; });
}

std::vector<LibraryFile> PostgresWriter::files() {
  return session_->use([](PostgresConnection& connection) {
    return files_of(connection.run(std::string(kSelectFiles) + "ORDER BY path, audio_path"));
  });
}

std::vector<FileFailure> PostgresWriter::failures() {
  return session_->use([](PostgresConnection& connection) { return read_failures(connection); });
}

std::optional<LibraryFile> PostgresWriter::file_at(const std::string& path, const std::string& audio_path) {
  return session_->use(
      [&](PostgresConnection& connection) { return find_file(connection, path, audio_path); });
}

std::vector<LibraryFile> PostgresWriter::files_of_content(const std::string& content) {
  return session_->use([&](PostgresConnection& connection) {
    return files_of(connection.run(std::string(kSelectFiles) + "WHERE content = $1 ORDER BY id", content));
  });
}

bool PostgresWriter::add_file(const LibraryFile& file, const std::vector<NewMoment>& moments,
                              const std::vector<FileFailure>& failures) {
  return session_->transaction([&](PostgresConnection& connection) {
    const auto claim = hold_claim(connection, file.path, file.audio_path, worker_.number());
    if (claim && !claim->is_free) return false;
    const auto known = find_file(connection, file.path, file.audio_path);
    if (!claim && known && known->stamp == file.stamp && known->content == file.content) return false;
    write_failures(connection, file.path, failures);
    const int64_t removed = known ? remove_moments(connection, known->id) : 0;
    const auto added = static_cast<int64_t>(moments.size());
    copy_moments(connection, write_file(connection, file, added), moments);
    drop_claim(connection, claim);
    count_change(connection, known ? 0 : 1, added - removed);
    return true;
  });
}

void PostgresWriter::remove_file(int64_t id) {
  session_->transaction([&](PostgresConnection& connection) {
    const auto known =
        first_file_of(connection.run(std::string(kSelectFiles) + "WHERE id = $1 FOR UPDATE", id));
    if (!known) return false;
    write_failures(connection, known->path, {});
    const int64_t removed = remove_moments(connection, id);
    connection.run("DELETE FROM cavmae.files WHERE id = $1", id);
    count_change(connection, -1, -removed);
    return true;
  });
}

bool PostgresWriter::set_place(const LibraryFile& known, const std::string& path,
                               const std::string& audio_path, const std::string& stamp) {
  return session_->transaction([&](PostgresConnection& connection) {
    const int64_t changed =
        connection
            .run(
                "UPDATE cavmae.files SET path = $1, audio_path = $2, stamp = $3 WHERE id = $4 AND path = $5 AND "
                "audio_path = $6",
                path_to_text(path), path_to_text(audio_path), path_to_text(stamp), known.id,
                path_to_text(known.path), path_to_text(known.audio_path))
            .changed();
    if (changed == 0) return false;
    drop_claim(connection, hold_claim(connection, path, audio_path, worker_.number()));
    count_change(connection, 0, 0);
    return true;
  });
}

void PostgresWriter::set_failures(const std::string& path, const std::vector<FileFailure>& failures) {
  session_->transaction([&](PostgresConnection& connection) {
    write_failures(connection, path, failures);
    connection.run("DELETE FROM cavmae.work WHERE path = $1 AND worker = $2", path_to_text(path),
                   worker_.number());
    count_change(connection, 0, 0);
    return true;
  });
}

std::unique_ptr<WorkShare> PostgresWriter::share(const std::vector<IndexJob>& jobs) {
  return std::make_unique<ClaimedWork>(session_, worker_, jobs);
}

LibraryCheck PostgresWriter::check() {
  throw ConfigError(concat(session_->name(),
                           ": a library in PostgreSQL is checked by its server (data checksums, pg_amcheck); "
                           "leave out --check"));
}

}  // namespace cavmae
