#include "cavmae/data/text_reader.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "cavmae/core/error.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

constexpr size_t kPieceBytes = size_t{1} << 18;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

}  // namespace

// By way of the other constructor, so that what is thrown here closes the file.
TextReader::TextReader(const fs::path& file) : TextReader(std::string_view(), file.string()) {
  open(file);
  read_more();
  if (rest_.starts_with(kByteOrderMark)) rest_.remove_prefix(kByteOrderMark.size());
}

TextReader::TextReader(std::string_view text, std::string name) : name_(std::move(name)), rest_(text) {
  if (rest_.starts_with(kByteOrderMark)) rest_.remove_prefix(kByteOrderMark.size());
  check_bytes(rest_);
}

TextReader::~TextReader() {
  if (file_ >= 0) ::close(file_);
}

void TextReader::open(const fs::path& file) {
  std::error_code failed;
  CAVMAE_CHECK_AS(DataError, !fs::is_directory(file, failed), name_, ": is a folder, a file was expected");
  file_ = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  CAVMAE_CHECK_AS(DataError, file_ >= 0, name_, ": cannot be opened: ", std::strerror(errno));
}

void TextReader::check_bytes(std::string_view bytes) const {
  CAVMAE_CHECK_AS(
      DataError, bytes.find('\0') == std::string_view::npos, name_,
      ": holds zero bytes, so it is no text; a list must be UTF-8 text (save it as UTF-8, not as UTF-16)");
}

bool TextReader::read_more() {
  if (file_ < 0) return false;
  buffer_.erase(0, rest_.empty() ? buffer_.size() : static_cast<size_t>(rest_.data() - buffer_.data()));
  const size_t kept = buffer_.size();
  buffer_.resize(kept + std::max(kPieceBytes, kept));
  ssize_t count = 0;
  do count = ::read(file_, buffer_.data() + kept, buffer_.size() - kept);
  while (count < 0 && errno == EINTR);
  CAVMAE_CHECK_AS(DataError, count >= 0, name_, ": cannot be read: ", std::strerror(errno));
  buffer_.resize(kept + static_cast<size_t>(count));
  rest_ = buffer_;
  check_bytes(rest_.substr(kept));
  return count > 0;
}

bool TextReader::next_line(std::string_view& line) {
  size_t end = rest_.find('\n');
  for (size_t seen = rest_.size(); end == std::string_view::npos && read_more(); seen = rest_.size())
    end = rest_.find('\n', seen);
  if (end == std::string_view::npos && rest_.empty()) return false;
  line = rest_.substr(0, end);
  rest_.remove_prefix(std::min(rest_.size(), line.size() + 1));
  if (line.ends_with('\r')) line.remove_suffix(1);
  CAVMAE_CHECK_AS(
      DataError, ++line_ > 1 || line.find('\r') == std::string_view::npos, name_,
      ": its lines end in CR alone, as on an old Mac; write them with LF: tr '\\r' '\\n' < OLD > NEW");
  return true;
}

std::string_view TextReader::next_piece() {
  if (rest_.empty() && !read_more()) return {};
  const std::string_view piece = rest_;
  rest_ = {};
  return piece;
}

}  // namespace cavmae
