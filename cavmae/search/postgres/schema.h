// The tables of a library in PostgreSQL, in the schema `cavmae` of its database, and how they came to be what
// they are. Private to this folder. Free functions; each makes one transaction.
#pragma once

#include <cstdint>
#include <string>

#include "cavmae/search/library_settings.h"
#include "cavmae/search/postgres/connection.h"

namespace cavmae {

// Version of the tables, kept in cavmae.version:
//   1  one process adds at a time
//   2  several do: what is to be done and by whom (work), how often the library has changed, its counts
constexpr int64_t kPostgresVersion = 2;

// Locks of PostgreSQL's that belong to the program: the first number of two; the second is a worker's, or
// this.
constexpr int kPostgresLocks = 0x63617631;
constexpr int kLockOfTables = 0;

// Whether the database has a library's tables, of whichever version.
bool has_library_tables(PostgresConnection& connection);

// Makes the tables, for vectors of settings.model.embed_dim numbers, in columns of the type that
// settings.vectors says, unless they are there. Throws ConfigError where the server lacks what they need,
// with the cure.
void make_library_tables(PostgresConnection& connection, const std::string& name,
                         const LibrarySettings& settings);

// Brings tables of an older version to this one; one process does, and others wait. Throws DataError, which
// names both versions, for those of a later one.
void migrate_library_tables(PostgresConnection& connection, const std::string& name);

}  // namespace cavmae
