#include "cavmae/search/postgres/schema.h"

#include <array>

#include <fmt/format.h>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

// Each brings tables of the version before it to its own; {vector} is the type of a vector's column. What
// stands here has been run somewhere: it is not changed, but followed by another.
constexpr const char* kFirstVersion = R"(
CREATE TABLE cavmae.version (version bigint NOT NULL);
INSERT INTO cavmae.version VALUES (1);
CREATE TABLE cavmae.library (settings jsonb NOT NULL);
CREATE TABLE cavmae.files (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  path text COLLATE "C" NOT NULL,
  audio_path text COLLATE "C" NOT NULL,
  stamp text NOT NULL,
  content text NOT NULL,
  end_ms bigint NOT NULL,
  has_audio boolean NOT NULL,
  has_video boolean NOT NULL,
  UNIQUE (path, audio_path)
);
CREATE INDEX files_by_content ON cavmae.files (content);
CREATE SEQUENCE cavmae.moment_ids;
CREATE TABLE cavmae.moments (
  id bigint PRIMARY KEY,
  file bigint NOT NULL REFERENCES cavmae.files (id),
  start_ms bigint NOT NULL,
  end_ms bigint NOT NULL,
  hash bigint NOT NULL,
  audio {vector},
  video {vector},
  UNIQUE (file, start_ms)
);
CREATE INDEX moments_by_hash ON cavmae.moments (hash);
CREATE TABLE cavmae.failures (
  path text COLLATE "C" NOT NULL,
  side text NOT NULL,
  stamp text NOT NULL,
  reason text NOT NULL,
  PRIMARY KEY (path, side)
);
)";
constexpr const char* kIndexes = R"(
CREATE INDEX moments_by_audio ON cavmae.moments USING hnsw (audio halfvec_cosine_ops);
CREATE INDEX moments_by_video ON cavmae.moments USING hnsw (video halfvec_cosine_ops);
)";
constexpr const char* kSecondVersion = R"(
CREATE SEQUENCE cavmae.worker_ids AS integer;
CREATE TABLE cavmae.work (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  path text COLLATE "C" NOT NULL,
  audio_path text COLLATE "C" NOT NULL,
  worker integer,
  UNIQUE (path, audio_path)
);
ALTER TABLE cavmae.files ADD COLUMN num_moments bigint NOT NULL DEFAULT 0;
UPDATE cavmae.files SET num_moments = (SELECT count(*) FROM cavmae.moments WHERE file = files.id);
ALTER TABLE cavmae.library
  ADD COLUMN changes bigint NOT NULL DEFAULT 0,
  ADD COLUMN files bigint NOT NULL DEFAULT 0,
  ADD COLUMN moments bigint NOT NULL DEFAULT 0;
UPDATE cavmae.library SET files = (SELECT count(*) FROM cavmae.files),
                          moments = (SELECT count(*) FROM cavmae.moments);
)";
constexpr std::array<const char*, kPostgresVersion> kVersions = {kFirstVersion, kSecondVersion};

constexpr const char* kInsufficientPrivilege = "42501";

void bring_from(PostgresConnection& connection, int64_t version) {
  for (size_t i = static_cast<size_t>(version); i < kVersions.size(); ++i) connection.execute(kVersions[i]);
  connection.run("UPDATE cavmae.version SET version = $1", kPostgresVersion);
}

int64_t version_of(PostgresConnection& connection) {
  const PostgresRows rows = connection.run("SELECT version FROM cavmae.version");
  return rows.size() == 0 ? 0 : rows.integer(0, 0);
}

void begin_with_tables_locked(PostgresConnection& connection) {
  connection.execute("BEGIN");
  connection.run("SELECT pg_advisory_xact_lock($1, $2)", kPostgresLocks, kLockOfTables);
}

void require_vector_type(PostgresConnection& connection, const std::string& name) {
  if (connection.run("SELECT 1 FROM pg_extension WHERE extname = 'vector'").size() == 0) {
    const bool is_there =
        connection.run("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'").size() > 0;
    CAVMAE_CHECK_AS(
        ConfigError, is_there, name,
        ": this PostgreSQL has no extension 'vector' (pgvector), which vectors are kept and searched "
        "by; install it on the server (Debian 13: postgresql-17-pgvector), or make a small library "
        "without it by --vectors text");
    try {
      connection.execute("CREATE EXTENSION vector");
    } catch (const PostgresError& e) {
      throw ConfigError(concat(name, ": the extension 'vector' cannot be created (", e.what(),
                               "); let the database's owner or an administrator run CREATE EXTENSION vector "
                               "in it once"));
    }
  }
  CAVMAE_CHECK_AS(ConfigError, connection.run("SELECT 1 FROM pg_type WHERE typname = 'halfvec'").size() > 0,
                  name,
                  ": its extension 'vector' is older than 0.7 and has no halfvec; install a newer one "
                  "and run ALTER EXTENSION vector UPDATE");
}

void create_tables(PostgresConnection& connection, const std::string& name, const LibrarySettings& settings) {
  const bool is_text = settings.vectors == VectorType::text;
  if (!is_text) require_vector_type(connection, name);
  const std::string type = is_text ? "text" : fmt::format("halfvec({})", settings.model.embed_dim);
  // Asked for first: to say IF NOT EXISTS takes the right to make one.
  if (connection.run("SELECT to_regnamespace('cavmae')").is_null(0, 0))
    connection.execute("CREATE SCHEMA cavmae");
  std::string first = kFirstVersion;
  constexpr std::string_view kType = "{vector}";
  for (size_t at = first.find(kType); at != std::string::npos; at = first.find(kType))
    first.replace(at, kType.size(), type);
  connection.execute(first);
  if (!is_text) connection.execute(kIndexes);
  connection.run("INSERT INTO cavmae.library (settings) VALUES ($1)", to_json(settings).dump());
  bring_from(connection, 1);
}

}  // namespace

bool has_library_tables(PostgresConnection& connection) {
  return !connection.run("SELECT to_regclass('cavmae.version')").is_null(0, 0);
}

void make_library_tables(PostgresConnection& connection, const std::string& name,
                         const LibrarySettings& settings) {
  if (has_library_tables(connection)) return;
  begin_with_tables_locked(connection);
  if (!has_library_tables(connection)) {
    try {
      create_tables(connection, name, settings);
    } catch (const PostgresError& e) {
      if (e.code() != kInsufficientPrivilege) throw;
      throw ConfigError(concat(name, ": its tables cannot be made (", e.what(),
                               "); let the database's owner run CREATE SCHEMA cavmae AUTHORIZATION and the "
                               "name of this role"));
    }
  }
  connection.execute("COMMIT");
}

void migrate_library_tables(PostgresConnection& connection, const std::string& name) {
  const auto refuse_later = [&](int64_t version) {
    CAVMAE_CHECK_AS(DataError, version <= kPostgresVersion, name, ": has tables of version ", version,
                    ", this program knows version ", kPostgresVersion, "; take a later cavmae");
  };
  int64_t version = version_of(connection);
  refuse_later(version);
  if (version == kPostgresVersion) return;
  begin_with_tables_locked(connection);
  version = version_of(connection);  // another process may have brought them here meanwhile
  refuse_later(version);
  try {
    if (version < kPostgresVersion) bring_from(connection, version);
  } catch (const PostgresError& e) {
    if (e.code() != kInsufficientPrivilege) throw;
    throw DataError(concat(name, ": has tables of version ", version, ", this program knows version ",
                           kPostgresVersion, ", and this role may not change them (", e.what(),
                           "); run 'cavmae index' as their owner once"));
  }
  connection.execute("COMMIT");
}

}  // namespace cavmae
