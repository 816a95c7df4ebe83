// How long reading a clip may take, for a file that would keep a reader busy without end. A limit holds on
// the thread that makes it, for all that is read there, as long as it lives; readers of media ask for it
// between packets and whenever they fetch bytes. A single call of a codec that never returns is beyond it.
#pragma once

#include <chrono>
#include <string>

namespace cavmae {

class TimeLimit {
 public:
  // Begins now. 0 seconds: none. Where another one holds already, the one that ends first counts.
  explicit TimeLimit(double seconds);
  ~TimeLimit();
  TimeLimit(const TimeLimit&) = delete;
  TimeLimit& operator=(const TimeLimit&) = delete;

  // Throws MediaError when a reader was told that this limit has run out, whatever it made of that: some take
  // it for the end of the file.
  void check_kept() const;

  // Whether the thread's limit has run out. `source` is what is being read.
  static bool has_run_out(const std::string& source);
  // Throws MediaError that names the source and the cure when it has.
  static void check(const std::string& source);
  // Time that the thread spent waiting for something that is not the clip's fault counts towards no limit.
  static void extend(std::chrono::duration<double> waited);

 private:
  using Clock = std::chrono::steady_clock;
  [[noreturn]] void fail() const;

  TimeLimit* outer_;
  double seconds_;
  Clock::time_point end_ = Clock::time_point::max();
  std::string stopped_;  // the source whose reader was told
};

}  // namespace cavmae
