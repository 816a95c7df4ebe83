#include "cavmae/serve/auth.h"

#include <algorithm>
#include <array>
#include <sstream>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "cavmae/core/files.h"

namespace cavmae {
namespace {

constexpr size_t kShortestToken = 20;

std::string random_text() {
  std::array<unsigned char, 32> bytes{};
  CAVMAE_CHECK(::getrandom(bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()),
               "the system gives no random bytes");
  std::string out;
  for (const unsigned char byte : bytes) out += fmt::format("{:02x}", byte);
  return out;
}

// "example.org:80" -> "example.org", "[::1]:80" -> "::1"
std::string name_of_host(std::string host) {
  if (host.starts_with("[")) return host.substr(1, host.find(']') - 1);
  const size_t colon = host.find(':');
  if (colon != std::string::npos && host.find(':', colon + 1) == std::string::npos) host.resize(colon);
  std::ranges::transform(host, host.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return host;
}

bool is_address(const std::string& name) {
  std::array<unsigned char, 16> bytes{};
  return ::inet_pton(AF_INET, name.c_str(), bytes.data()) == 1 ||
         ::inet_pton(AF_INET6, name.c_str(), bytes.data()) == 1;
}

// The value of a cookie, or "".
std::string cookie_of(const HttpRequest& request, const std::string& name) {
  std::istringstream cookies(request.header("Cookie"));
  for (std::string one; std::getline(cookies, one, ';');) {
    one.erase(0, one.find_first_not_of(' '));
    if (one.starts_with(name + "=")) return one.substr(name.size() + 1);
  }
  return {};
}

HttpError unauthorized(const std::string& message) {
  return HttpError(401, "unauthorized", message,
                   "send 'Authorization: Bearer TOKEN' with a token of the server's token file");
}

}  // namespace

bool equal_in_constant_time(const std::string& a, const std::string& b) {
  size_t difference = a.size() ^ b.size();
  for (size_t i = 0; i < a.size(); ++i)
    difference |=
        static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b.empty() ? '\0' : b[i % b.size()]);
  return difference == 0;
}

Auth::Auth(const AuthOptions& options) : options_(options) {
  for (std::string& name : options_.allowed_hosts) name = name_of_host(name);
  if (!options.token_file.empty()) read_tokens();
}

void Auth::read_tokens() {
  const std::string file = options_.token_file.string();
  struct stat status {};
  CAVMAE_CHECK_AS(ConfigError, ::stat(file.c_str(), &status) == 0, file,
                  ": is not there; write one with lines 'read TOKEN' and 'admin TOKEN'");
  CAVMAE_CHECK_AS(ConfigError, (status.st_mode & (S_IRWXG | S_IRWXO)) == 0, file,
                  ": may be read by others; take their rights away (chmod 600)");
  std::istringstream lines(read_text(options_.token_file));
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    std::istringstream words(line.substr(0, line.find('#')));
    std::string role, token, more;
    if (!(words >> role)) continue;
    words >> token;
    CAVMAE_CHECK_AS(ConfigError, (role == "read" || role == "admin") && !token.empty() && !(words >> more),
                    file, ":", number, ": a line is 'read TOKEN' or 'admin TOKEN'");
    CAVMAE_CHECK_AS(ConfigError, token.size() >= kShortestToken, file, ":", number,
                    ": the token has fewer than ", kShortestToken,
                    " characters; take a longer one (openssl rand -hex 32)");
    tokens_.push_back({.text = token, .access = role == "admin" ? Access::admin : Access::read});
  }
  CAVMAE_CHECK_AS(ConfigError, !tokens_.empty(), file,
                  ": has no token; write lines 'read TOKEN' and 'admin TOKEN'");
}

void Auth::check_origin(const HttpRequest& request) const {
  const auto is_ours = [&](const std::string& name) {
    return name == "localhost" || is_address(name) ||
           std::ranges::find(options_.allowed_hosts, name) != options_.allowed_hosts.end();
  };
  const std::string host = request.header("Host"), name = name_of_host(host);
  if (!is_ours(name))
    throw HttpError(403, "host", "this server is not known as '" + name + "'",
                    "use its address, or start it with --allow-host " + (name.empty() ? "NAME" : name));
  if (request.header("Sec-Fetch-Site") == "cross-site" && request.header("Sec-Fetch-Mode") != "navigate")
    throw HttpError(403, "origin", "another site's page asked for this", "open the server's own page");
  const std::string origin = request.header("Origin");
  if (request.method == "GET" || request.method == "HEAD" || origin.empty()) return;
  const size_t scheme = origin.find("://");
  const std::string from = scheme == std::string::npos ? origin : origin.substr(scheme + 3);
  const bool is_same = from == host || std::ranges::find(options_.allowed_hosts, name_of_host(from)) !=
                                           options_.allowed_hosts.end();
  if (!is_same)
    throw HttpError(403, "origin", "a page of " + origin + " may not send requests to this server",
                    "open the server's own page; behind a proxy, name its host with --allow-host");
}

Access Auth::access_of_token(const std::string& token, const std::string& address) {
  constexpr auto kWindow = std::chrono::minutes(1);
  constexpr size_t kMostAddresses = 10000;
  const auto now = Clock::now();
  {
    const std::lock_guard lock(mutex_);
    const auto wrong = wrong_.find(address);
    if (wrong != wrong_.end() && now - wrong->second.since > kWindow)
      wrong_.erase(wrong);
    else if (wrong != wrong_.end() && wrong->second.count >= options_.max_wrong_tokens)
      throw HttpError(429, "too_many_attempts", "too many wrong tokens came from this address",
                      "wait a minute",
                      /*retry_after_seconds=*/60);
  }
  Access granted = Access::open;
  for (const Token& known : tokens_)
    if (equal_in_constant_time(token, known.text)) granted = std::max(granted, known.access);
  if (granted != Access::open) return granted;
  const std::lock_guard lock(mutex_);
  if (wrong_.size() >= kMostAddresses) wrong_.clear();
  Wrong& wrong = wrong_.try_emplace(address, Wrong{.count = 0, .since = now}).first->second;
  ++wrong.count;
  throw unauthorized("the token is not known");
}

Access Auth::check(const HttpRequest& request, Access needed) {
  if (!needs_tokens()) return Access::admin;
  Access granted = Access::open;
  const std::string header = request.header("Authorization");
  constexpr std::string_view kBearer = "Bearer ";
  if (needed == Access::open) return granted;
  if (header.starts_with(kBearer)) {
    granted = access_of_token(header.substr(kBearer.size()), request.remote_address);
  } else if (const std::string id = cookie_of(request, fmt::format("cavmae_{}", options_.port));
             !id.empty()) {
    const std::lock_guard lock(mutex_);
    const auto session = sessions_.find(id);
    if (session != sessions_.end() && session->second.end > Clock::now()) granted = session->second.access;
  }
  if (granted < needed)
    throw unauthorized(granted == Access::open ? "this server asks for a token"
                                               : "this asks for an admin's token");
  return granted;
}

std::string Auth::begin_session(const HttpRequest& request, const std::string& token, Access& granted) {
  granted = needs_tokens() ? access_of_token(token, request.remote_address) : Access::admin;
  const std::string id = random_text();
  const auto now = Clock::now();
  const std::lock_guard lock(mutex_);
  std::erase_if(sessions_, [&](const auto& entry) { return entry.second.end <= now; });
  if (static_cast<int64_t>(sessions_.size()) >= options_.max_sessions)
    sessions_.erase(
        std::ranges::min_element(sessions_, {}, [](const auto& entry) { return entry.second.end; }));
  sessions_[id] = {.access = granted,
                   .end = now + std::chrono::duration_cast<Clock::duration>(
                                    std::chrono::duration<double>(options_.session_seconds))};
  return fmt::format("cavmae_{}={}; HttpOnly; SameSite=Strict; Path=/; Max-Age={}{}", options_.port, id,
                     static_cast<int64_t>(options_.session_seconds),
                     request.header("X-Forwarded-Proto") == "https" ? "; Secure" : "");
}

}  // namespace cavmae
