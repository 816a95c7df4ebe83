// Opening a library by its name, whatever its kind: a folder, or postgresql://host/database. Free functions;
// safe from several threads.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cavmae/core/log.h"
#include "cavmae/search/library_reader.h"
#include "cavmae/search/library_writer.h"

namespace cavmae {

// Whether this is the name of a library: a folder that holds one, or the URL of a database, which is not
// asked.
bool is_library(const std::string& name);
// Its name as messages and results show it; without a password.
std::string shown_library(const std::string& name);

// Throws ConfigError where there is none, and DataError where it is damaged or of a later version.
std::unique_ptr<LibraryReader> open_library(const std::string& name);
// What it was made with, likewise; nothing where there is none.
std::optional<LibrarySettings> library_settings(const std::string& name);
// What a new one of this name begins with.
LibrarySettings new_library_settings(const std::string& name);

// Opens the library to add to it, or makes one. Throws ConfigError: it was made with another model or hop
// (both are named), the name is taken by something else, or another process writes to it and it takes one
// alone.
std::unique_ptr<LibraryWriter> open_library_to_write(const std::string& name, const LibrarySettings& wanted,
                                                     LibraryStart start, const std::shared_ptr<Log>& log);

// The same library for another rank than the first, which has opened it with these settings.
std::unique_ptr<LibraryWriter> join_library(const std::string& name, const LibrarySettings& opened,
                                            const std::shared_ptr<Log>& log);

}  // namespace cavmae
