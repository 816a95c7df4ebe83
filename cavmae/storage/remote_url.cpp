#include "cavmae/storage/remote_url.h"

#include <algorithm>
#include <cstdlib>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

// SHA-256 of no bytes: what a request without a body says of it.
constexpr const char* kHashOfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

std::string environment(const char* name, const char* otherwise = "") {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? otherwise : value;
}

// Of a URL that was given: what is escaped in it already stays.
std::string escape_forbidden(std::string_view url) {
  constexpr std::string_view kForbidden = " \"<>\\^`{|}";
  std::string out;
  for (const char c : url) {
    const bool is_allowed = c > ' ' && c < '\x7f' && kForbidden.find(c) == std::string_view::npos;
    out += is_allowed ? std::string(1, c) : percent_encode({&c, 1}, /*keeps_slashes=*/false);
  }
  return out;
}

std::string query_text(const std::vector<std::pair<std::string, std::string>>& query) {
  std::vector<std::string> parts;
  for (const auto& [name, value] : query)
    parts.push_back(percent_encode(name, false) + "=" + percent_encode(value, false));
  std::ranges::sort(parts);  // as the signature wants it
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "?" : "&") + part;
  return text;
}

}  // namespace

bool is_remote(std::string_view name) {
  return name.starts_with("http://") || name.starts_with("https://") || name.starts_with("s3://");
}

std::string percent_encode(std::string_view text, bool keeps_slashes) {
  constexpr std::string_view kKept = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (kKept.find(c) != std::string_view::npos || (keeps_slashes && c == '/'))
      out += c;
    else
      (out += '%').append({kDigits[byte >> 4], kDigits[byte & 15]});
  }
  return out;
}

RemoteAddress address_of(std::string_view name,
                         const std::vector<std::pair<std::string, std::string>>& query) {
  constexpr std::string_view kS3 = "s3://";
  if (!name.starts_with(kS3)) return {.url = escape_forbidden(name) + query_text(query)};
  const std::string_view rest = name.substr(kS3.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  const std::string bucket(rest.substr(0, slash)), key(rest.substr(std::min(slash + 1, rest.size())));
  CAVMAE_CHECK_AS(ConfigError, !bucket.empty() && (!key.empty() || !query.empty()), name,
                  ": names no object; write s3://BUCKET/KEY");
  const std::string region =
      environment("AWS_REGION", environment("AWS_DEFAULT_REGION", "us-east-1").c_str());
  std::string endpoint = environment("AWS_ENDPOINT_URL");
  while (endpoint.ends_with('/')) endpoint.pop_back();
  CAVMAE_CHECK_AS(ConfigError,
                  endpoint.empty() || endpoint.starts_with("http://") || endpoint.starts_with("https://"),
                  "AWS_ENDPOINT_URL is '", endpoint, "'; it must begin with http:// or https://");
  RemoteAddress address;
  const std::string host = "s3." + region + ".amazonaws.com";
  // No certificate fits a host with more dots.
  const bool has_own_host = endpoint.empty() && bucket.find('.') == std::string::npos;
  if (endpoint.empty()) endpoint = "https://" + host;
  address.url = has_own_host ? "https://" + bucket + "." + host : endpoint + "/" + bucket;
  address.url += "/" + percent_encode(key, /*keeps_slashes=*/true) + query_text(query);
  const std::string id = environment("AWS_ACCESS_KEY_ID"), secret = environment("AWS_SECRET_ACCESS_KEY");
  if (id.empty() || secret.empty()) return address;  // what everyone may read
  address.signature = "aws:amz:" + region + ":s3";
  address.credentials = id + ":" + secret;
  address.headers.push_back(std::string("x-amz-content-sha256: ") + kHashOfNothing);
  if (const std::string token = environment("AWS_SESSION_TOKEN"); !token.empty())
    address.headers.push_back("x-amz-security-token: " + token);
  return address;
}

}  // namespace cavmae
