#include "cavmae/data/shard_names.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include <fmt/format.h>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"

namespace cavmae {
namespace {

constexpr int64_t kMaxNames = 1'000'000;

bool is_range_end(std::string_view text) {
  return !text.empty() && text.size() <= 9 &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// Appends the names that `text` stands for, its first range expanded, then the rest.
void expand(const std::string& text, std::vector<std::string>& out) {
  const size_t open = text.find('{'), close = text.find('}', open);
  if (open == std::string::npos) {
    out.push_back(text);
    return;
  }
  const auto check = [&](bool holds, const char* why) {
    CAVMAE_CHECK_AS(DataError, holds, "--data ", text, ": ", why,
                    "; a range of shards is written {000..012}");
  };
  check(close != std::string::npos, "'{' has no '}'");
  const std::string range = text.substr(open + 1, close - open - 1);
  const size_t dots = range.find("..");
  check(dots != std::string::npos, "the braces hold no range of numbers");
  const std::string first = range.substr(0, dots), last = range.substr(dots + 2);
  check(is_range_end(first) && is_range_end(last), "the braces hold no range of numbers");
  const int64_t begin = std::stoll(first), end = std::stoll(last);
  check(begin <= end, "the range runs backwards");
  for (int64_t i = begin; i <= end; ++i) {
    CAVMAE_CHECK_AS(DataError, static_cast<int64_t>(out.size()) < kMaxNames, "--data ", text,
                    ": names more than ", kMaxNames, " shards");
    expand(concat(text.substr(0, open), fmt::format("{:0{}}", i, first.size()), text.substr(close + 1)), out);
  }
}

// Behind the brackets of the address that a URL from `begin` on has for a host, http://[::1]/x.tar; else
// `begin`.
size_t end_of_host(const std::string& text, size_t begin) {
  const size_t host = text.find("://", begin);
  if (host == std::string::npos || host > text.find("::", begin)) return begin;
  const size_t open = text.find_first_of("[/", host + 3);
  if (open == std::string::npos || text[open] != '[') return begin;
  const size_t close = text.find_first_of("]/", open);
  return close != std::string::npos && text[close] == ']' ? close : begin;
}

}  // namespace

bool names_shards(std::string_view text) {
  return lower(text).ends_with(".tar");
}

std::string_view unpacking_of_name(std::string_view text) {
  constexpr std::pair<std::string_view, std::string_view> kKnown[] = {
      {".tar.gz", "gzip -d"}, {".tgz", "gzip -d"},      {".tar.bz2", "bzip2 -d"}, {".tbz2", "bzip2 -d"},
      {".tar.xz", "xz -d"},   {".txz", "xz -d"},        {".tar.zst", "zstd -d"},  {".tzst", "zstd -d"},
      {".tar.lz4", "lz4 -d"}, {".tar.z", "uncompress"},
  };
  const std::string name = lower(text);
  for (const auto& [extension, unpacking] : kKnown)
    if (name.ends_with(extension)) return unpacking;
  return "";
}

std::string why_no_compressed_shard(std::string_view unpacking) {
  return concat("is compressed, so that no clip in it can be read without all before it; unpack it first (",
                unpacking, ")");
}

std::vector<std::string> part_names(const std::string& text) {
  std::vector<std::string> out;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find("::", end_of_host(text, begin)), text.size());
    if (end > begin) out.push_back(text.substr(begin, end - begin));
    begin = end + 2;
  }
  return out;
}

std::vector<std::string> expand_range(const std::string& text) {
  std::vector<std::string> out;
  expand(text, out);
  return out;
}

}  // namespace cavmae
