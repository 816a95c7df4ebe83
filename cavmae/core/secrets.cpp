#include "cavmae/core/secrets.h"

#include <algorithm>

namespace cavmae {
namespace {

constexpr std::string_view kBegin = "://", kParameter = "password=", kHidden = "***";

// Of one word that begins behind the scheme of an URL. A password may hold what else ends it, so that it
// lasts to the last @.
std::string hidden_in_url(std::string_view url) {
  std::string out(url);
  const size_t at = out.rfind('@'), colon = out.find(':');
  if (at != std::string::npos && colon < at) out.replace(colon + 1, at - colon - 1, kHidden);
  for (size_t from = out.find(kParameter); from != std::string::npos; from = out.find(kParameter, from)) {
    from += kParameter.size();
    out.replace(from, out.find('&', from) - from, kHidden);
  }
  return out;
}

}  // namespace

std::string url_without_password(std::string_view url) {
  const size_t begin = url.find(kBegin);
  if (begin == std::string_view::npos) return std::string(url);
  const size_t behind = begin + kBegin.size();
  return std::string(url.substr(0, behind)) + hidden_in_url(url.substr(behind));
}

std::string without_passwords(std::string_view text) {
  std::string out;
  for (size_t begin = text.find(kBegin); begin != std::string_view::npos; begin = text.find(kBegin)) {
    begin += kBegin.size();
    const size_t end = std::min(text.size(), text.find_first_of(" \t\n'\"", begin));
    out += text.substr(0, begin);
    out += hidden_in_url(text.substr(begin, end - begin));
    text.remove_prefix(end);
  }
  return out + std::string(text);
}

}  // namespace cavmae
