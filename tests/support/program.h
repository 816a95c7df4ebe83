// Runs the program as a user would: through a shell, with its output and exit code.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <sys/wait.h>

#include "tests/support/temporary_folder.h"

namespace cavmae::testing_support {

struct Outcome {
  int exit_code = -1;    // as a shell tells it: 128 and the number where a signal ended the program
  int ended_by = 0;      // that signal; 0 when the program ended by itself
  std::string out = {};  // standard output
  std::string err = {};  // standard error
};

inline std::string read_whole(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// Of a status of waitpid() and what the program wrote.
inline Outcome outcome_of(int status, std::string out, std::string err) {
  const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return {.exit_code = signal != 0 ? 128 + signal : WEXITSTATUS(status),
          .ended_by = signal,
          .out = std::move(out),
          .err = std::move(err)};
}

// Runs a shell command.
inline Outcome run_shell(const std::string& command) {
  TemporaryFolder folder;
  const std::string redirected =
      "( " + command + " ) >'" + (folder / "out").string() + "' 2>'" + (folder / "err").string() + "'";
  const int status = std::system(redirected.c_str());
  return outcome_of(status, read_whole(folder / "out"), read_whole(folder / "err"));
}

// Runs cavmae with these arguments (shell syntax).
inline Outcome run_cavmae(const std::string& arguments) {
  return run_shell(std::string(CAVMAE_PROGRAM) + " " + arguments);
}

}  // namespace cavmae::testing_support
