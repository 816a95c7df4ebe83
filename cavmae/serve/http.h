// The words of HTTP as the rest of this folder uses them: a request, its body, an answer, an error. No
// library of HTTP is named here. Plain values and interfaces.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/core/json.h"

namespace cavmae {

struct HttpRequest {
  std::string method, path;                               // decoded, without the query
  std::function<std::string(const std::string&)> header;  // "" of none; of several the first
  std::function<std::string(const std::string&)> query;   // likewise
  std::string remote_address;
};

// A part of a multipart/form-data body.
struct HttpPart {
  std::string name, filename;
};

// What follows a request's head. Read once, by one of the two.
class HttpBody {
 public:
  using Take = std::function<bool(const char* data, size_t size)>;  // false: enough
  virtual ~HttpBody() = default;
  virtual bool is_multipart() const = 0;
  // False when it did not arrive whole, or was not wanted further.
  virtual bool read(const Take& take) = 0;
  virtual bool read_parts(const std::function<bool(const HttpPart&)>& begin, const Take& take) = 0;
};

// An open file, or a part of one; closed with the last copy.
class OpenFile {
 public:
  explicit OpenFile(int descriptor) : descriptor_(descriptor) {}
  OpenFile(int descriptor, int64_t begin, int64_t size)
      : descriptor_(descriptor), begin_(begin), size_(size) {}
  ~OpenFile();
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int descriptor() const { return descriptor_; }
  int64_t begin() const { return begin_; }  // of the part in the file
  int64_t size() const;
  // Changes when its bytes do: where it begins, its size, and when the file was written last.
  std::string version() const;

 private:
  int descriptor_;
  int64_t begin_ = 0, size_ = -1;  // -1: to the end of the file
};

struct HttpAnswer {
  int status = 200;
  std::string content_type = "application/json";
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
  // Instead of the body: `length` bytes of a file or of text that is shared, from `offset` on.
  std::shared_ptr<const OpenFile> file = nullptr;
  std::shared_ptr<const std::string> text = nullptr;
  int64_t offset = 0, length = 0;
  std::shared_ptr<const void> held = nullptr;  // until the file or text is sent, or the client has gone
};

// What is answered instead of what was asked for: JSON of {"error": {"code", "message", "cure"}}.
class HttpError : public Error {
 public:
  HttpError(int status, std::string code, const std::string& message, std::string cure,
            int retry_after_seconds = 0)
      : Error(message),
        status_(status),
        code_(std::move(code)),
        cure_(std::move(cure)),
        retry_after_seconds_(retry_after_seconds) {}

  int status() const { return status_; }
  const std::string& code() const { return code_; }
  const std::string& cure() const { return cure_; }
  int retry_after_seconds() const { return retry_after_seconds_; }

 private:
  int status_;
  std::string code_, cure_;
  int retry_after_seconds_;
};

// 503: as much as is allowed waits already.
inline HttpError too_busy(const std::string& what) {
  return HttpError(503, "busy", what, "try again in a moment", /*retry_after_seconds=*/1);
}

HttpAnswer json_answer(const Json& json, int status = 200);
HttpAnswer error_answer(const HttpError& error);

// The part of `length` bytes that a Range header asks for: nothing where it asks for several or makes no
// sense, so that the whole is answered. Throws HttpError 416 where it lies beyond the end.
std::optional<std::pair<int64_t, int64_t>> parse_range(const std::string& header, int64_t length);
// Of a file or text that is named in `answer`: all of it or, with 206, the part that is asked for.
void answer_range(const HttpRequest& request, int64_t size, HttpAnswer& answer);

// Answers requests, from many threads at once.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  virtual HttpAnswer answer(const HttpRequest& request, HttpBody& body) = 0;
  // Of what the server refuses before it is a request: too many connections, a head that cannot be
  // understood.
  virtual HttpAnswer refuse(const HttpError& error) { return error_answer(error); }
};

}  // namespace cavmae
