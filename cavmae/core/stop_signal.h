// Whether SIGINT or SIGTERM arrived, which a long job asks between its steps so that it can stop in order. A
// second signal ends the process at once.
#pragma once

namespace cavmae {

// Installs the handlers for its lifetime. Where several live at once, the first installs them and the last
// takes them away, and with them what was requested.
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
