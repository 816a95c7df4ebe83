// SIGINT and SIGTERM as a question that a long job asks between steps. A second signal ends the process at
// once.
#pragma once

namespace cavmae {

// Installs the handlers for its lifetime; one at a time in a process.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  // Whether a signal arrived. Safe from any thread.
  static bool requested();
};

}  // namespace cavmae
