// The program running beside the test, which sends it signals: it is killed, stopped, and waited for with a
// limit. One thread.
#pragma once

#include <chrono>
#include <csignal>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/program.h"

namespace cavmae::testing_support {

// Asks until `condition` holds. After `seconds` it fails with what was waited for.
[[nodiscard]] inline testing::AssertionResult wait_until(const std::function<bool()>& condition,
                                                         double seconds, const std::string& what) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (!condition()) {
    if (Clock::now() > end)
      return testing::AssertionFailure() << "waited " << seconds << " s for " << what << ", in vain";
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return testing::AssertionSuccess();
}

// cavmae with these arguments (shell syntax), not waited for. A program that is still there at the end is
// killed.
class Background {
 public:
  explicit Background(const std::string& arguments) {
    // `exec`: the signals are the program's and no shell's; nothing is left running in between.
    const std::string command = std::string("exec ") + CAVMAE_PROGRAM + " " + arguments + " >'" +
                                (folder_ / "out").string() + "' 2>'" + (folder_ / "err").string() + "'";
    pid_ = ::fork();
    if (pid_ == 0) {
      ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      ::_exit(127);
    }
  }
  ~Background() {
    if (running()) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, &status_, 0);
    }
  }
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  bool running() {
    if (!ended_) ended_ = ::waitpid(pid_, &status_, WNOHANG) != 0;
    return !ended_;
  }
  void send(int signal) {
    if (running()) ::kill(pid_, signal);
  }
  std::string out() const { return read_whole(folder_ / "out"); }
  std::string err() const { return read_whole(folder_ / "err"); }

  // Whether the program has a handler for the signal by now (SigCgt of proc(5)). The shell that becomes the
  // launcher, which becomes the program, has one of its own.
  bool catches(int signal) const {
    const std::string process = "/proc/" + std::to_string(pid_);
    std::error_code gone;
    if (std::filesystem::read_symlink(process + "/exe", gone) !=
        std::filesystem::canonical(std::filesystem::path(CAVMAE_PROGRAM).parent_path() /
                                   "libexec/cavmae/cavmae"))
      return false;
    std::ifstream status(process + "/status");
    for (std::string word; status >> word;)
      if (word == "SigCgt:" && status >> word)
        return (std::stoull(word, nullptr, 16) >> (signal - 1) & 1) != 0;
    return false;
  }

  Outcome wait(double seconds = 300) {
    const auto ended = wait_until([&] { return !running(); }, seconds, "the program's end");
    EXPECT_TRUE(ended);
    return outcome_of(ended ? status_ : -1, read_whole(folder_ / "out"), err());
  }

 private:
  TemporaryFolder folder_;
  pid_t pid_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

// Runs cavmae and sends `signal` as soon as `condition` holds; the outcome is that of the run that was hit. A
// run that came to its end before the signal shows nothing, so `start_again` removes what it left and it is
// tried again. Fails when no run was hit or when the condition never held.
inline Outcome run_and_signal(const std::string& arguments, int signal,
                              const std::function<bool(const Background&)>& condition,
                              const std::string& what, const std::function<void()>& start_again) {
  constexpr int kTries = 5;
  Outcome outcome;
  for (int i = 0; i < kTries; ++i) {
    Background program(arguments);
    EXPECT_TRUE(wait_until([&] { return condition(program) || !program.running(); }, 120, what));
    if (testing::Test::HasFailure()) return outcome;
    program.send(signal);
    outcome = program.wait();
    if (outcome.exit_code != 0) return outcome;
    start_again();
  }
  ADD_FAILURE() << "each of " << kTries << " runs ended before the signal came: cavmae " << arguments;
  return outcome;
}

}  // namespace cavmae::testing_support
