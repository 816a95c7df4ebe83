#include "cavmae/search/postgres/texts.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <fmt/format.h>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"
#include "cavmae/core/utf8.h"

namespace cavmae {
namespace {

// U+10FF80 to U+10FFFF end with two bytes that count up, behind these.
constexpr std::string_view kOfBytes = "\xf4\x8f";
constexpr size_t kCharacterBytes = 4;

std::string character_of(unsigned char byte) {
  const unsigned code = 0x10ff00u + byte;
  return std::string(kOfBytes) + static_cast<char>(0x80 | ((code >> 6) & 0x3f)) +
         static_cast<char>(0x80 | (code & 0x3f));
}

// Bytes of the character that the text begins with; 0: it begins with none.
size_t character_length(std::string_view text) {
  for (size_t length = 1; length <= std::min(kCharacterBytes, text.size()); ++length)
    if (is_utf8(text.substr(0, length))) return length;
  return 0;
}

int digit_of(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

[[noreturn]] void no_vector(std::string_view text) {
  throw DataError(concat("a vector in the database is '", printable(text), "', which is none"));
}

torch::Tensor halves_of(std::string_view bytes) {
  torch::Tensor halves =
      torch::empty({static_cast<int64_t>(bytes.size() / sizeof(c10::Half))}, torch::kFloat16);
  std::copy_n(bytes.data(), bytes.size(), static_cast<char*>(halves.data_ptr()));
  return halves;
}

std::string bytes_of_hex(std::string_view text) {
  constexpr size_t kHeader = 2 + 8;  // \x, then the size and a zero of two bytes each
  if (text.size() < kHeader || text.size() % 4 != kHeader % 4) no_vector(text);
  std::string out;
  for (size_t at = kHeader; at < text.size(); at += 4) {
    const int a = digit_of(text[at]), b = digit_of(text[at + 1]), c = digit_of(text[at + 2]),
              d = digit_of(text[at + 3]);
    if (a < 0 || b < 0 || c < 0 || d < 0) no_vector(text);
    out += static_cast<char>(c << 4 | d);  // the network's order turned round
    out += static_cast<char>(a << 4 | b);
  }
  return out;
}

}  // namespace

std::string path_to_text(std::string_view path) {
  if (is_utf8(path)) return std::string(path);
  std::string out;
  while (!path.empty()) {
    const size_t length = character_length(path);
    out +=
        length == 0 ? character_of(static_cast<unsigned char>(path[0])) : std::string(path.substr(0, length));
    path.remove_prefix(std::max<size_t>(1, length));
  }
  return out;
}

std::string text_to_path(std::string_view text) {
  std::string out;
  for (size_t at = text.find(kOfBytes); at != std::string_view::npos; at = text.find(kOfBytes)) {
    out += text.substr(0, at);
    const std::string_view one = text.substr(at, kCharacterBytes);
    unsigned code = 0;
    if (one.size() == kCharacterBytes)
      code = (static_cast<unsigned>(one[2]) & 0x3f) << 6 | (static_cast<unsigned>(one[3]) & 0x3f);
    if (code >= 0xf80)
      out += static_cast<char>(code & 0xff);
    else
      out += one;
    text.remove_prefix(at + one.size());
  }
  return out + std::string(text);
}

std::string vector_text(const torch::Tensor& vector) {
  const torch::Tensor numbers = vector.to(torch::kFloat32).contiguous();
  std::string out = "[";
  for (int64_t i = 0; i < numbers.numel(); ++i) {
    if (i > 0) out += ',';
    fmt::format_to(std::back_inserter(out), "{}", numbers.data_ptr<float>()[i]);
  }
  return out + "]";
}

std::string vector_text(std::string_view bytes) {
  return vector_text(halves_of(bytes));
}

torch::Tensor tensor_of_vector_text(std::string_view text) {
  return halves_of(vector_bytes_of_text(text));
}

std::string vector_bytes_of_text(std::string_view text) {
  if (text.starts_with("\\x")) return bytes_of_hex(text);
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') no_vector(text);
  std::string out;
  for (const char *at = text.data() + 1, *end = text.data() + text.size() - 1; at < end; ++at) {
    float number = 0;
    const auto [behind, failed] = std::from_chars(at, end, number);
    if (failed != std::errc() || (behind != end && *behind != ',')) no_vector(text);
    const c10::Half half(number);
    out.append(reinterpret_cast<const char*>(&half), sizeof(half));
    at = behind;
  }
  return out;
}

}  // namespace cavmae
