// The exceptions of the program and the check that throws them. A message says what is wrong, the value, what
// is allowed, the file, and what to do; main() prints it and nothing else. Safe from any thread.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace cavmae {

// Base of everything that cavmae throws on purpose. The program exits with 1.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A wrong option, configuration file or command line. The program exits with 2.
class ConfigError : public Error {
 public:
  using Error::Error;
};

// A media file that cannot be read, decoded or written. One bad clip never stops a run.
class MediaError : public Error {
 public:
  using Error::Error;
};

// A manifest or data set that cannot be used.
class DataError : public Error {
 public:
  using Error::Error;
};

// A checkpoint or tensor file that is damaged or does not fit.
class CheckpointError : public Error {
 public:
  using Error::Error;
};

// The parts, streamed one after another.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

}  // namespace cavmae

// Throws `type` with the streamed parts unless `condition` holds. Never compiled out.
#define CAVMAE_CHECK_AS(type, condition, ...)    \
  do {                                           \
    if (!(condition)) [[unlikely]]               \
      throw type(::cavmae::concat(__VA_ARGS__)); \
  } while (false)

#define CAVMAE_CHECK(condition, ...) CAVMAE_CHECK_AS(::cavmae::Error, condition, __VA_ARGS__)
