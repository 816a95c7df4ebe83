// TensorBoard's event files: records of scalars, encoded by hand (five fields of protocol buffers). Free
// functions; safe from any thread.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace cavmae {

struct ScalarEvent {
  double wall_time = 0.0;  // seconds since 1970
  int64_t step = 0;
  std::vector<std::pair<std::string, double>> scalars;  // tag and value
};

// "events.out.tfevents.SECONDS.HOST", as TensorBoard looks for it.
std::string event_file_name(double wall_time);

// The framed record that a file begins with.
std::string encode_file_version(double wall_time);

// A framed record: length, its checksum, the Event, its checksum.
std::string encode_event(const ScalarEvent& event);

}  // namespace cavmae
