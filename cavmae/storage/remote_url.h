// Names of files that lie on web servers and in object stores. Free functions; safe from any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cavmae {

// Whether it begins with http://, https:// or s3://.
bool is_remote(std::string_view name);

// What is asked for a name: s3://BUCKET/KEY by the usual environment (AWS_ENDPOINT_URL, AWS_REGION or
// AWS_DEFAULT_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN), others as they are but
// for what no URL may hold (blanks, letters beyond ASCII), which is escaped.
struct RemoteAddress {
  std::string url;                        // escaped as S3 escapes keys
  std::vector<std::string> headers = {};  // "x-amz-...: ..."
  std::string signature = {};             // CURLOPT_AWS_SIGV4; empty: unsigned
  std::string credentials = {};           // KEY:SECRET
};

// `query`: names and values, which are escaped and sorted. Throws ConfigError for an s3:// name without
// bucket or key, and for an AWS_ENDPOINT_URL that is no URL.
RemoteAddress address_of(std::string_view name,
                         const std::vector<std::pair<std::string, std::string>>& query = {});

// Percent-encoded but for letters, digits, "-._~" and, where it `keeps_slashes`, "/".
std::string percent_encode(std::string_view text, bool keeps_slashes);

}  // namespace cavmae
