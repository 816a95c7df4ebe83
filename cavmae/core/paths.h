// Paths as text. They are resolved as the system resolves them, so that a link on the way is followed before
// ".." leads away from where it points. Safe from any thread.
#pragma once

#include <filesystem>

namespace cavmae {

// Another path to the same file, without ".", without doubled slashes and, where what stands before it is a
// folder and no link, without "..". What does not exist keeps its "..". Relative paths stay so.
std::filesystem::path resolve_path(const std::filesystem::path& path);

// The same, absolute.
std::filesystem::path absolute_path(const std::filesystem::path& path);

// `file` as a reader in `folder` has to name it, for a relative `file`; absolute ones stay as they are. An
// empty folder is the current one.
std::filesystem::path path_from_folder(const std::filesystem::path& file,
                                       const std::filesystem::path& folder);

// The folder that a file of this name lies in; "." of a bare name.
std::filesystem::path folder_of(const std::filesystem::path& file);

}  // namespace cavmae
