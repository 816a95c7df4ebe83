#include <algorithm>
#include <cstring>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/tensorfile/pickle.h"

namespace cavmae {
namespace {

using Kind = PickleValue::Kind;

constexpr uint64_t kBufferBytes = 1 << 16;

}  // namespace

bool PickleValue::calls(std::string_view name) const {
  return kind == Kind::call && items[0]->text == name;
}

const PickleValue* PickleValue::find(std::string_view key) const {
  if (kind != Kind::dict) return nullptr;
  for (size_t i = items.size(); i >= 2; i -= 2)
    if (items[i - 2]->is(Kind::text) && items[i - 2]->text == key) return items[i - 1];
  return nullptr;
}

PickleInput::PickleInput(uint64_t size, Read read, std::string where)
    : size_(size), read_(std::move(read)), where_(std::move(where)) {}

void PickleInput::fail(const std::string& problem) const {
  throw CheckpointError(concat(where_, ": ", problem, " (byte ", position(), " of the pickle)"));
}

void PickleInput::copy(void* out, uint64_t count) {
  if (count > size_ - position()) fail("is truncated or damaged: the pickle ends too early");
  auto* to = static_cast<char*>(out);
  while (count > 0) {
    if (at_ == buffer_.size()) {
      buffer_start_ += at_;
      at_ = 0;
      buffer_.resize(std::min(kBufferBytes, size_ - buffer_start_));
      read_(buffer_start_, buffer_.data(), buffer_.size());
    }
    const size_t n = std::min<uint64_t>(count, buffer_.size() - at_);
    std::memcpy(to, buffer_.data() + at_, n);
    at_ += n;
    to += n;
    count -= n;
  }
}

uint8_t PickleInput::byte() {
  return number<uint8_t>();
}

std::string PickleInput::bytes(uint64_t count) {
  if (count > size_ - position()) fail("is truncated or damaged: a text runs past the end");
  std::string text(count, '\0');
  copy(text.data(), count);
  return text;
}

std::string PickleInput::line() {
  constexpr size_t kLongest = 1024;  // only names of modules and classes are written this way
  std::string text;
  for (char c; (c = static_cast<char>(byte())) != '\n';) {
    if (text.size() == kLongest) fail("a name is longer than 1024 letters");
    text += c;
  }
  return text;
}

}  // namespace cavmae
