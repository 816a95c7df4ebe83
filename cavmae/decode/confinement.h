// What a process that decodes files of strangers may still do: read the descriptors that it is handed,
// compute, and answer. Linux alone; one thread.
#pragma once

#include <cstdint>
#include <string>

namespace cavmae {

struct ConfinementOptions {
  int64_t max_memory_bytes = int64_t{8} << 30;  // of addresses; a build with sanitizers has no such limit
  int64_t max_open_files = 32;
};

// From now on the process opens no file, makes no socket, starts no program and sends no signal: what it asks
// of the system beyond memory, threads of its own and its open descriptors fails with EPERM (seccomp). Cannot
// be undone. Throws Error where the system refuses.
void confine_process(const ConfinementOptions& options = {});

// What of that the process can do all the same, by trying: "opens files, makes sockets"; empty: nothing.
std::string remaining_freedoms();

}  // namespace cavmae
