// Who may ask for what: bearer tokens of a file, sessions that stand for them in browsers, and from where a
// request may come. Safe from several threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "cavmae/serve/http.h"

namespace cavmae {

// What a request may do; each may what those before it may.
enum class Access { open, read, admin };

struct AuthOptions {
  std::filesystem::path token_file = {};  // empty: everybody who reaches the server is an admin
  std::vector<std::string> allowed_hosts =
      {};  // names by which it is reached, besides localhost and addresses
  double session_seconds = 12 * 3600;
  int64_t max_sessions = 1000;    // one more, and the oldest ends
  int64_t max_wrong_tokens = 10;  // of one address within a minute; then 429
  int port = 0;                   // names the cookie, so that two servers of a machine have one each
};

// Whether two texts are equal, in a time that tells of their lengths alone.
bool equal_in_constant_time(const std::string& a, const std::string& b);

class Auth {
 public:
  // Throws ConfigError: the token file is not there, others may read it, or a line of it is wrong. Its lines
  // are "read TOKEN" and "admin TOKEN", of at least 20 characters; '#' begins a comment.
  explicit Auth(const AuthOptions& options);

  bool needs_tokens() const { return !tokens_.empty(); }

  // Throws HttpError 403 for a request that another site's page made, or under a name that is not this
  // server's: so that no page of the internet reaches it through a visitor's browser.
  void check_origin(const HttpRequest& request) const;
  // What the request may do, by its Authorization header or its cookie. Throws HttpError: 401 where that is
  // less than `needed`, 429 after too many wrong tokens.
  Access check(const HttpRequest& request, Access needed);

  // Begins a session for a token; the value of Set-Cookie. Throws HttpError as check().
  std::string begin_session(const HttpRequest& request, const std::string& token, Access& granted);

 private:
  using Clock = std::chrono::steady_clock;
  struct Token {
    std::string text;
    Access access;
  };
  struct Session {
    Access access;
    Clock::time_point end;
  };
  struct Wrong {
    int64_t count = 0;
    Clock::time_point since;
  };

  Access access_of_token(const std::string& token, const std::string& address);
  void read_tokens();

  AuthOptions options_;
  std::vector<Token> tokens_;
  std::mutex mutex_;  // of what follows
  std::map<std::string, Session> sessions_;
  std::map<std::string, Wrong> wrong_;  // by address
};

}  // namespace cavmae
