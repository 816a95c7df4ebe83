#include "cavmae/serve/http.h"

#include <algorithm>
#include <charconv>

#include <sys/stat.h>
#include <unistd.h>

#include "cavmae/core/error.h"
#include "cavmae/core/json_text.h"

namespace cavmae {
namespace {

// A whole number, or nothing.
std::optional<int64_t> range_number(std::string_view text) {
  int64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

}  // namespace

OpenFile::~OpenFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

int64_t OpenFile::size() const {
  if (size_ >= 0) return size_;
  struct stat status {};
  return ::fstat(descriptor_, &status) == 0 ? status.st_size : 0;
}

std::string OpenFile::version() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) return "";
  return concat(begin_, " ", size(), " ", status.st_ino, " ", status.st_mtim.tv_sec, ".",
                status.st_mtim.tv_nsec);
}

HttpAnswer json_answer(const Json& json, int status) {
  HttpAnswer answer;
  answer.status = status;
  answer.body = to_text(json) + "\n";
  answer.headers.emplace_back("Cache-Control", "no-store");
  return answer;
}

HttpAnswer error_answer(const HttpError& error) {
  HttpAnswer answer =
      json_answer({{"error", {{"code", error.code()}, {"message", error.what()}, {"cure", error.cure()}}}},
                  error.status());
  if (error.retry_after_seconds() > 0)
    answer.headers.emplace_back("Retry-After", std::to_string(error.retry_after_seconds()));
  if (error.status() == 401) answer.headers.emplace_back("WWW-Authenticate", "Bearer");
  return answer;
}

std::optional<std::pair<int64_t, int64_t>> parse_range(const std::string& header, int64_t length) {
  constexpr std::string_view kBytes = "bytes=";
  const std::string_view text = header;
  if (!text.starts_with(kBytes) || text.find(',') != std::string_view::npos) return std::nullopt;
  const std::string_view range = text.substr(kBytes.size());
  const size_t dash = range.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = range_number(range.substr(0, dash)), last = range_number(range.substr(dash + 1));
  const bool has_last = dash + 1 < range.size();
  if ((has_last && !last) || (dash > 0 && !first) || (dash == 0 && !last)) return std::nullopt;
  int64_t begin = 0, end = length - 1;
  if (dash == 0) {  // the last bytes
    begin = std::max<int64_t>(0, length - *last);
    if (*last == 0) begin = length;
  } else {
    begin = *first;
    if (last && *last < begin) return std::nullopt;
    if (last) end = std::min(end, *last);
  }
  if (begin >= length)
    throw HttpError(416, "range", concat("the range ", header, " lies beyond the end, ", length, " bytes"),
                    "ask for a part that is there");
  return std::pair(begin, end - begin + 1);
}

void answer_range(const HttpRequest& request, int64_t size, HttpAnswer& answer) {
  answer.headers.emplace_back("Accept-Ranges", "bytes");
  answer.offset = 0;
  answer.length = size;
  const std::string range = request.header("Range");
  if (range.empty() || request.method != "GET") return;
  const auto part = parse_range(range, size);
  if (!part) return;
  answer.status = 206;
  answer.offset = part->first;
  answer.length = part->second;
  answer.headers.emplace_back("Content-Range",
                              concat("bytes ", part->first, "-", part->first + part->second - 1, "/", size));
}

}  // namespace cavmae
