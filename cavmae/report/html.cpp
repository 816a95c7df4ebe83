#include "cavmae/report/html.h"

#include <array>
#include <cmath>
#include <cstdint>

#include <fmt/format.h>

#include "cavmae/features/media_tensors.h"
#include "cavmae/media/image_writer.h"

namespace cavmae {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// The length of the UTF-8 character at the start of `text`, 0 when there is none: overlong forms, surrogates
// and code points past U+10FFFF are none (RFC 3629).
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  const unsigned char second = byte(1);
  const bool allowed = !(first == 0xE0 && second < 0xA0) && !(first == 0xED && second > 0x9F) &&
                       !(first == 0xF0 && second < 0x90) && !(first == 0xF4 && second > 0x8F);
  return allowed ? length : 0;
}

void append_escaped(std::string& out, char c) {
  switch (c) {
    case '&':
      out += "&amp;";
      break;
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '"':
      out += "&quot;";
      break;
    case '\'':
      out += "&#39;";
      break;
    default:
      out += c;
  }
}

std::string replace_all(std::string text, std::string_view what, std::string_view by) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
  return text;
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    const bool control =
        (text[0] >= 0 && text[0] < ' ' && text[0] != '\n' && text[0] != '\t') || text[0] == 127;
    if (length == 0 || control) {
      out += kReplacement;
    } else if (length == 1) {
      append_escaped(out, text[0]);
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

std::string script_json(const Json& value) {
  // '<' occurs in strings only, where its escape means the same.
  return replace_all(value.dump(-1, ' ', false, Json::error_handler_t::replace), "<", "\\u003c");
}

std::string script_text(std::string_view text) {
  return replace_all(replace_all(std::string(text), "</", "<\\/"), "<!--", "<\\!--");
}

std::string base64(std::string_view bytes) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t have = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k)
      group = group << 8 | (k < have ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k) out += k <= have ? kDigits[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

std::string image_data_uri(const torch::Tensor& image) {
  if (!image.defined()) return "";
  constexpr int64_t kSmallPixels = 64 * 64;
  constexpr int kQuality = 88;
  const bool small = image.size(0) * image.size(1) <= kSmallPixels;
  return small ? "data:image/png;base64," + base64(encode_png(to_picture(image)))
               : "data:image/jpeg;base64," + base64(encode_jpeg(to_picture(image), kQuality));
}

std::string image_tag(const torch::Tensor& image, std::string_view css_class, std::string_view alt) {
  if (!image.defined()) return fmt::format("<div class=\"missing {}\">not available</div>", css_class);
  return fmt::format("<img class=\"{}\" alt=\"{}\" width=\"{}\" height=\"{}\" loading=\"lazy\" src=\"{}\">",
                     css_class, escape_html(alt), image.size(1), image.size(0), image_data_uri(image));
}

std::string percent_text(double share) {
  if (!std::isfinite(share)) return "not finite";
  const double percent = 100 * share;
  return fmt::format("{:.{}f} %", percent, percent != 0 && std::abs(percent) < 1 ? 2 : 1);
}

std::string number_text(double value) {
  if (!std::isfinite(value)) return "not finite";
  const double size = std::abs(value);
  if (size >= 1000 && size < 1e15) {
    std::string digits = fmt::format("{:.0f}", value);
    for (int at = static_cast<int>(digits.size()) - 3; at > (value < 0 ? 1 : 0); at -= 3)
      digits.insert(at, ",");
    return digits;
  }
  return fmt::format("{:.4g}", value);
}

}  // namespace cavmae
