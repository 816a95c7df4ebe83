// A progress line with a rate and an ETA: redrawn in place on a terminal, an ordinary line now and then
// elsewhere. One owner; not for several threads at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace cavmae {

struct ProgressOptions {
  std::string title;                    // "making clips"
  std::string unit = "clips";           // what is counted
  int64_t total = 0;                    // 0 when it is not known
  int64_t already_done = 0;             // done before this run; does not enter the rate
  double line_interval_seconds = 10.0;  // between lines where stderr is no terminal
  bool quiet = false;
};

class Progress {
 public:
  explicit Progress(ProgressOptions options);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` of the total, with what else is to be shown ("loss 1.23").
  void update(int64_t done, const std::string& details = "");
  // Ends the line. Called by the destructor if need be.
  void finish();
  // Removes the bar so that something else can be printed; the next update draws it again.
  void clear();

  double rate() const;         // units a second since the start of this run
  double eta_seconds() const;  // NaN when the total is unknown

 private:
  void draw(const std::string& details, bool last);

  ProgressOptions options_;
  bool terminal_;
  bool finished_ = false;
  int64_t done_ = 0;
  std::chrono::steady_clock::time_point start_, last_draw_;
};

}  // namespace cavmae
