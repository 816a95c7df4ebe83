#include "cavmae/serve/upload.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cavmae/core/utf8.h"

namespace cavmae {
namespace {

constexpr size_t kMaxFieldBytes = 262144;  // a vector of 768 numbers as text is 10 kB
constexpr size_t kMaxFields = 32;

HttpError bad_request(const std::string& message, const std::string& cure) {
  return HttpError(400, "bad_request", message, cure);
}

std::shared_ptr<const OpenFile> nameless_file() {
  const std::string folder = std::filesystem::temp_directory_path().string();
  int file = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (file < 0) file = ::memfd_create("upload", MFD_CLOEXEC);
  CAVMAE_CHECK(file >= 0, folder, ": an upload cannot be kept there: ", std::strerror(errno));
  return std::make_shared<const OpenFile>(file);
}

void append(int file, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t n = ::write(file, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0)
      throw HttpError(503, "disk", concat("the upload cannot be kept: ", std::strerror(errno)),
                      "free some space in the server's temporary folder", /*retry_after_seconds=*/30);
    data += n;
    size -= static_cast<size_t>(n);
  }
}

// Fields of forms are text; those that are numbers or lists become so.
Json field_value(const std::string& name, const std::string& text) {
  if (name == "vector") return parse_json(text, "vector");
  if (name != "moment" && name != "top" && name != "moments" && name != "min_score" && name != "at")
    return text;
  double number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc() || end != text.data() + text.size())
    throw bad_request(name + " is '" + text + "'", "give a number");
  if (number == static_cast<double>(static_cast<int64_t>(number))) return static_cast<int64_t>(number);
  return number;
}

HttpError too_large(int64_t max_bytes) {
  return HttpError(413, "too_large", concat("more than ", max_bytes / 1'000'000, " MB were sent"),
                   "send a shorter part of it, or start the server with a larger --max-upload-mb");
}

// The parts of a form as they come.
class FormReader {
 public:
  explicit FormReader(int64_t max_bytes) : max_bytes_(max_bytes) {}

  bool begin(const HttpPart& part) {
    finish_field();
    in_file_ = part.name == "file" || !part.filename.empty();
    if (in_file_) {
      if (upload_.file != nullptr)
        return fail(bad_request("there are several files", "send one file a query"));
      upload_.file = nameless_file();
      upload_.filename = safe_filename(part.filename);
      return true;
    }
    name_ = part.name;
    if (++fields_ > kMaxFields)
      return fail(bad_request("there are too many fields", "send those of the API"));
    return true;
  }
  bool take(const char* data, size_t size) {
    bytes_ += static_cast<int64_t>(size);
    if (bytes_ > max_bytes_) return fail(too_large(max_bytes_));
    try {
      if (in_file_)
        append(upload_.file->descriptor(), data, size);
      else if (text_.size() + size > kMaxFieldBytes)
        return fail(bad_request("the field " + name_ + " is too long", "send the file as the part 'file'"));
      else
        text_.append(data, size);
    } catch (const HttpError& e) {
      return fail(e);
    }
    return true;
  }
  // After the last part.
  Upload finish() {
    if (error_) throw *error_;
    finish_field();
    return std::move(upload_);
  }
  const std::optional<HttpError>& error() const { return error_; }

 private:
  bool fail(HttpError error) {
    error_.emplace(std::move(error));
    return false;
  }
  void finish_field() {
    if (!name_.empty()) upload_.fields[name_] = field_value(name_, text_);
    name_.clear();
    text_.clear();
  }

  int64_t max_bytes_, bytes_ = 0;
  Upload upload_;
  bool in_file_ = false;
  std::string name_, text_;
  size_t fields_ = 0;
  std::optional<HttpError> error_;
};

Upload read_form(HttpBody& body, int64_t max_bytes) {
  FormReader reader(max_bytes);
  std::optional<HttpError> wrong;
  const bool whole = body.read_parts(
      [&](const HttpPart& part) {
        try {
          return reader.begin(part);
        } catch (const HttpError& e) {
          wrong.emplace(e);
        } catch (const Error& e) {
          wrong.emplace(bad_request(e.what(), "send the fields of the API"));
        }
        return false;
      },
      [&](const char* data, size_t size) { return reader.take(data, size); });
  if (wrong) throw *wrong;
  if (!whole && !reader.error())
    throw bad_request("the form is damaged or did not arrive whole", "send multipart/form-data");
  return reader.finish();
}

}  // namespace

std::string safe_filename(const std::string& name) {
  constexpr size_t kLongest = 120;
  std::string out = name.substr(name.find_last_of("/\\") + 1);
  std::erase_if(out, [](unsigned char c) { return c < ' ' || c == 0x7f || c == '"' || c == '\''; });
  if (out.size() > kLongest) out = out.substr(out.size() - kLongest);
  out = escape_invalid_utf8(out);
  return out.empty() || out == "." || out == ".." ? "upload" : out;
}

Upload read_upload(const HttpRequest& request, HttpBody& body, int64_t max_bytes) {
  const std::string length = request.header("Content-Length");
  int64_t announced = 0;
  std::from_chars(length.data(), length.data() + length.size(), announced);
  if (announced > max_bytes + static_cast<int64_t>(kMaxFieldBytes)) throw too_large(max_bytes);
  if (!request.header("Content-Encoding").empty())
    throw HttpError(415, "encoding", "the body is compressed", "send it as it is");
  try {
    if (body.is_multipart()) return read_form(body, max_bytes);
    if (!request.header("Content-Type").starts_with("application/json"))
      throw HttpError(415, "content_type", "the body's type is '" + request.header("Content-Type") + "'",
                      "send application/json, or multipart/form-data with a part 'file'");
    std::string text;
    const bool whole = body.read([&](const char* data, size_t size) {
      text.append(data, size);
      return text.size() <= kMaxFieldBytes;
    });
    if (text.size() > kMaxFieldBytes) throw too_large(kMaxFieldBytes);
    if (!whole) throw bad_request("the body did not arrive whole", "send it again");
    Upload upload;
    upload.fields = parse_json(text, "the body");
    if (!upload.fields.is_object()) throw bad_request("the body is no JSON object", "send {\"moment\": 1}");
    return upload;
  } catch (const HttpError&) {
    throw;
  } catch (const ConfigError& e) {
    throw bad_request(e.what(), "send JSON");
  }
}

}  // namespace cavmae
