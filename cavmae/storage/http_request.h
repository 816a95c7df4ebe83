// One question to a web server and its answer, by libcurl. Safe from several threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cavmae/storage/remote_client.h"

namespace cavmae {

struct RemoteRequest {
  std::string name;  // what is_remote() takes
  std::vector<std::pair<std::string, std::string>> query = {};
  std::string range = {};  // "0-99"; empty: all
  bool is_head = false;
  std::function<void()> begin = {};  // before each attempt: what an earlier one brought is void
  std::function<bool(std::string_view)> sink = {};  // takes a piece of the body; false ends the transfer
};

struct RemoteAnswer {
  long status = 0;        // of HTTP; 0: there was none
  std::string trouble;    // what kept the answer from coming, or from being whole; else empty
  bool may_pass = false;  // the same request may have another answer soon
  double retry_after_seconds = 0.0;
  RemoteFacts file;
  std::string region;      // that an object store names as the right one
  std::string error_body;  // its beginning

  bool is_success() const { return trouble.empty() && (status == 200 || status == 206); }
  // Why it is none.
  std::string reason() const;
};

class HttpConnections {
 public:
  HttpConnections();
  ~HttpConnections();
  HttpConnections(const HttpConnections&) = delete;
  HttpConnections& operator=(const HttpConnections&) = delete;

  // A transfer is given up after `stalled_seconds` with hardly a byte, and when the process is to stop.
  RemoteAnswer ask(const RemoteRequest& request, double stalled_seconds);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The text between <tag> and </tag> from `at` on, which is moved behind it; empty where there is none.
std::string text_of_tag(const std::string& xml, const std::string& tag, size_t& at);

}  // namespace cavmae
