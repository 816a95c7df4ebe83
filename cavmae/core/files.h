// Whole files: reading, and writing beside the target with a rename into place, so that a reader sees the old
// file or the new one and never a half. Safe from any thread.
#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>

namespace cavmae {

// The file's bytes. Throws Error naming the path and the system's reason.
std::string read_text(const std::filesystem::path& path);

// Writes the bytes to a temporary file beside `path`, flushes them to the disk and renames it. On any failure
// (a full disk, a missing folder) `path` is left as it was, the temporary is removed and Error says why.
void write_file(const std::filesystem::path& path, std::string_view bytes);

// The same for writers that produce the file themselves: `write` receives the temporary path.
void write_file_with(const std::filesystem::path& path,
                     const std::function<void(const std::filesystem::path&)>& write);

// Flushes a file or folder to the disk.
void sync_to_disk(const std::filesystem::path& path);

// mkdir -p with an Error that names the path and the cure.
void make_directories(const std::filesystem::path& path);

// Free bytes of the file system that holds `path` (which need not exist yet).
std::uintmax_t free_bytes(const std::filesystem::path& path);

// "1.4 GB", "23 kB".
std::string human_bytes(double bytes);

}  // namespace cavmae
