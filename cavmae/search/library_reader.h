// A library as those see it who search in it: always whole, also while another process adds to it. An
// interface that each kind of library implements; safe from several threads. open_library.h opens one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/eval/model.h"
#include "cavmae/search/library_snapshot.h"

namespace cavmae {

// A library that lies on a server which does not answer. The message names the server and the cure.
class LibraryAway : public Error {
 public:
  using Error::Error;
};

class LibraryReader {
 public:
  virtual ~LibraryReader() = default;

  // As messages and results name it; without a password.
  const std::string& name() const { return name_; }
  // What is in it now: made anew when something was added, removed or rebuilt since the last call.
  virtual std::shared_ptr<const LibrarySnapshot> snapshot() = 0;
  // What may be found in it now.
  virtual std::unique_ptr<MomentSelection> select(const SearchScope& scope) = 0;

  // Of what is in it now; nothing when it is gone.
  virtual std::optional<LibraryFile> file(int64_t id) = 0;
  virtual std::optional<Moment> moment(int64_t id) = 0;
  // Of a file, in the order of time.
  virtual std::vector<Moment> moments_of(int64_t file) = 0;
  virtual std::vector<FileFailure> failures() = 0;
  // The files at or below a path, whole names of folders: "/films/a" is not below "/films/ab". int64 [n], ids
  virtual torch::Tensor files_under(const std::string& path) = 0;
  // A moment's vectors; of a side that it lacks undefined. Throws DataError when it is gone.
  virtual ClipVectors vectors(int64_t moment) = 0;

  // The moment of a file in which `seconds` is nearest to the middle. `file`: its path or the end of it
  // ("talks/a.mp4"). Throws DataError: no such file, several that end so, no such second.
  Moment find_moment(const std::string& file, double seconds);

 protected:
  explicit LibraryReader(std::string name) : name_(std::move(name)) {}
  // Whose last name is this one.
  virtual std::vector<LibraryFile> files_called(const std::string& name) = 0;

 private:
  std::string name_;
};

}  // namespace cavmae
