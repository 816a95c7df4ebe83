// Reads ranges of files on web servers and in object stores, by libcurl. Connections are kept and used again.
// Safe from several threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/core/log.h"

namespace cavmae {

// What a server has to say against a request, or that it cannot be reached; names the address.
class StorageError : public Error {
 public:
  // `status`: of HTTP; 0: there was no answer.
  StorageError(long status, const std::string& what) : Error(what), status_(status) {}
  long status() const { return status_; }
  // The server will say the same tomorrow: there is no such file, or it may not be read.
  bool is_refusal() const { return status_ >= 400 && status_ < 500 && status_ != 408 && status_ != 429; }

 private:
  long status_;
};

struct RemoteOptions {
  // A server that does not answer, or is overloaded (408, 429, 5xx), is asked again for so long, at growing
  // intervals.
  double patience_seconds = 300.0;
  double first_wait_seconds = 0.5;
  double stalled_seconds = 30.0;  // with hardly a byte, after which a transfer is begun again
};

// What a server says of a file.
struct RemoteFacts {
  int64_t size = -1;
  std::string etag = {}, modified = {};

  // Another text whenever the file may have changed: its etag, or size and time.
  std::string stamp() const { return etag.empty() ? concat(size, ":", modified) : etag; }
  // Since 1970; nothing where the server does not say it.
  std::optional<int64_t> modified_seconds() const;
};

// Whether both may be of the same file; servers that share a name differ in etags alone.
bool are_of_one_file(const RemoteFacts& a, const RemoteFacts& b);

class RemoteClient {
 public:
  // `log` hears when a server is waited for.
  RemoteClient(const RemoteOptions& options, std::shared_ptr<Log> log);
  ~RemoteClient();
  RemoteClient(const RemoteClient&) = delete;
  RemoteClient& operator=(const RemoteClient&) = delete;

  // `name`: what is_remote() takes. All throw StorageError, at once where waiting would not help (404, 403,
  // ...). Waiting for a server counts towards no TimeLimit.
  RemoteFacts facts(const std::string& name) const;
  // `count` bytes from `offset` on, fewer only at the file's end. A server that ignores ranges is an error,
  // and so is a file that is no longer that of `expected`, where it is given.
  std::string read(const std::string& name, int64_t offset, int64_t count,
                   const RemoteFacts* expected = nullptr) const;
  // All of it, of `max_bytes` at most; `facts` receives what the server says of it.
  std::string read_all(const std::string& name, int64_t max_bytes, RemoteFacts* facts = nullptr) const;
  // Names of the objects of s3://BUCKET/PREFIX, sorted.
  std::vector<std::string> list(const std::string& name) const;
  // The file of `facts`, written beside and renamed; `report` hears of each piece how many bytes are there.
  void download(const std::string& name, const RemoteFacts& facts, const std::filesystem::path& to,
                const std::function<void(int64_t)>& report = {}) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cavmae
