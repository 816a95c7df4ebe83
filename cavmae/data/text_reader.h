// The text of a list, line by line or piece by piece, from a file that is never in memory as a whole, or from
// memory. One owner; not for several threads at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>

namespace cavmae {

class TextReader {
 public:
  // Throws DataError when the file cannot be read. A byte order mark is passed over.
  explicit TextReader(const std::filesystem::path& file);
  // Text that outlives this; `name` stands for a file's.
  TextReader(std::string_view text, std::string name);
  ~TextReader();
  TextReader(const TextReader&) = delete;
  TextReader& operator=(const TextReader&) = delete;

  const std::string& name() const { return name_; }

  // The next line without its end, valid until the next call; false at the end. Throws DataError for zero
  // bytes, and for lines that end in CR alone.
  bool next_line(std::string_view& line);
  int64_t line_number() const { return line_; }  // of the last line, from 1

  // All that was not read yet and is in memory, or the next piece of the file, valid until the next call;
  // empty at the end.
  std::string_view next_piece();

 private:
  void open(const std::filesystem::path& file);
  // Reads more behind `rest_`, which keeps its bytes; false at the end.
  bool read_more();
  void check_bytes(std::string_view bytes) const;

  std::string name_;
  int file_ = -1;
  std::string buffer_;
  std::string_view rest_;  // what is left of the buffer, or of the text in memory
  int64_t line_ = 0;
};

// The letters of a TextReader for a parser that takes them one by one. A default one is the end.
class TextIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  TextIterator() = default;
  explicit TextIterator(TextReader& reader) : reader_(&reader) { refill(); }
  const char& operator*() const { return *at_; }
  TextIterator& operator++() {
    if (++at_ == end_) refill();
    return *this;
  }
  bool operator==(const TextIterator& other) const { return at_ == other.at_; }

 private:
  void refill() {
    const std::string_view piece = reader_->next_piece();
    at_ = piece.empty() ? nullptr : piece.data();
    end_ = piece.empty() ? nullptr : piece.data() + piece.size();
  }

  TextReader* reader_ = nullptr;
  const char* at_ = nullptr;
  const char* end_ = nullptr;
};

}  // namespace cavmae
