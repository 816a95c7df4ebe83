#include "cavmae/storage/remote_client.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include <curl/curl.h>
#include <fmt/format.h>

#include "cavmae/core/files.h"
#include "cavmae/core/stop_signal.h"
#include "cavmae/core/text.h"
#include "cavmae/core/time_limit.h"
#include "cavmae/storage/remote_url.h"

namespace cavmae {
namespace {

struct CloseHandle {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
using Handle = std::unique_ptr<CURL, CloseHandle>;

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Headers = std::unique_ptr<curl_slist, FreeList>;

// Takes a piece of an answer's body; false ends the transfer.
using Sink = std::function<bool(std::string_view)>;

struct Request {
  std::string name;
  std::vector<std::pair<std::string, std::string>> query = {};
  std::string range = {};  // "0-99"; empty: all
  bool is_head = false;
  std::function<void()> begin = [] {
  };  // called before each attempt: what an earlier one brought counts no more
  Sink sink = {};
};

struct Answer {
  CURLcode result = CURLE_OK;
  long status = 0;
  double retry_after_seconds = 0.0;
  int64_t size = -1;  // of the body
  std::string etag, modified;
  std::string body_of_error;
  bool was_ended = false;  // by the sink
};

// What a transfer's callbacks need.
struct Transfer {
  const Request& request;
  Answer& answer;
  CURL* handle;
};

bool is_success(long status) {
  return status == 200 || status == 206;
}

size_t take_body(char* bytes, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  long status = 0;
  curl_easy_getinfo(transfer.handle, CURLINFO_RESPONSE_CODE, &status);
  const std::string_view piece(bytes, size * count);
  if (!is_success(status)) {
    constexpr size_t kMaxShown = 4096;
    transfer.answer.body_of_error.append(
        piece.substr(0, kMaxShown - std::min(kMaxShown, transfer.answer.body_of_error.size())));
    return piece.size();
  }
  if (!transfer.request.sink || transfer.request.sink(piece)) return piece.size();
  transfer.answer.was_ended = true;
  return 0;
}

size_t take_header(char* bytes, size_t size, size_t count, void* user) {
  auto& answer = static_cast<Transfer*>(user)->answer;
  const std::string_view line(bytes, size * count);
  const size_t colon = line.find(':');
  if (line.starts_with("HTTP/")) answer.etag.clear(), answer.modified.clear();  // of what a redirect led to
  if (colon == std::string_view::npos) return line.size();
  const std::string name = lower(line.substr(0, colon)), value(trim(line.substr(colon + 1)));
  if (name == "etag") answer.etag = value;
  if (name == "last-modified") answer.modified = value;
  return line.size();
}

int watch(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return TimeLimit::has_run_out(static_cast<Transfer*>(user)->request.name) ? 1 : 0;
}

// The text between <Code> and </Code> of S3's error, or nothing.
std::string between(const std::string& xml, const std::string& tag, size_t& at) {
  const std::string open = "<" + tag + ">", close = "</" + tag + ">";
  const size_t begin = xml.find(open, at);
  if (begin == std::string::npos) return "";
  const size_t end = xml.find(close, begin);
  if (end == std::string::npos) return "";
  at = end + close.size();
  return xml.substr(begin + open.size(), end - begin - open.size());
}

std::string unescape_xml(std::string text) {
  for (const auto& [escaped, letter] :
       {std::pair{"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&apos;", "'"}, {"&amp;", "&"}})
    for (size_t at = text.find(escaped); at != std::string::npos; at = text.find(escaped, at + 1))
      text.replace(at, std::string_view(escaped).size(), letter);
  return text;
}

std::string reason_of(const Answer& answer) {
  if (answer.result != CURLE_OK && answer.status == 0) return curl_easy_strerror(answer.result);
  size_t at = 0;
  const std::string code = between(answer.body_of_error, "Code", at);
  const char* words =
      answer.status == 404 ? "there is no such file"
      : answer.status == 403
          ? "it may not be read; check the key and the secret (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
      : answer.status == 401 ? "it asks for a login"
                             : "the server refuses";
  return concat("HTTP ", answer.status, ": ", words, code.empty() ? "" : " (" + code + ")");
}

// Whether the same request may have another answer soon.
bool may_pass(const Answer& answer) {
  if (answer.status == 429 || answer.status >= 500) return true;
  if (answer.status != 0 && !is_success(answer.status)) return false;
  switch (answer.result) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_SSL_CONNECT_ERROR:
      return true;
    default:
      return false;
  }
}

}  // namespace

struct RemoteClient::State {
  RemoteOptions options;
  std::shared_ptr<Log> log;
  std::mutex mutex;
  std::vector<Handle> idle;  // each with its connections

  Handle take() {
    {
      const std::lock_guard lock(mutex);
      if (!idle.empty()) {
        Handle handle = std::move(idle.back());
        idle.pop_back();
        return handle;
      }
    }
    Handle handle(curl_easy_init());
    if (!handle) throw std::bad_alloc();
    return handle;
  }
  void give_back(Handle handle) {
    curl_easy_reset(handle.get());
    const std::lock_guard lock(mutex);
    idle.push_back(std::move(handle));
  }

  Answer once(const Request& request);
  Answer ask(const Request& request);
};

Answer RemoteClient::State::once(const Request& request) {
  const RemoteAddress address = address_of(request.name, request.query);
  Handle handle = take();
  CURL* curl = handle.get();
  request.begin();
  Answer answer;
  Transfer transfer{.request = request, .answer = answer, .handle = curl};
  Headers headers;
  for (const std::string& header : address.headers)
    headers.reset(curl_slist_append(headers.release(), header.c_str()));
  curl_easy_setopt(curl, CURLOPT_URL, address.url.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "cavmae");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION,
                   address.signature.empty() ? 1L : 0L);  // a signature is of one address
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 8L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(1000 * options.stalled_seconds));
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, std::max(1L, std::lround(options.stalled_seconds)));
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, watch);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  if (request.is_head) curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  if (!request.range.empty()) curl_easy_setopt(curl, CURLOPT_RANGE, request.range.c_str());
  if (!address.signature.empty()) {
    curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, address.signature.c_str());
    curl_easy_setopt(curl, CURLOPT_USERPWD, address.credentials.c_str());
  }
  answer.result = curl_easy_perform(curl);
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
  curl_off_t number = 0;
  if (curl_easy_getinfo(curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &number) == CURLE_OK) answer.size = number;
  if (curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &number) == CURLE_OK)
    answer.retry_after_seconds = static_cast<double>(number);
  if (answer.was_ended && answer.result == CURLE_WRITE_ERROR) answer.result = CURLE_OK;
  give_back(std::move(handle));
  return answer;
}

// Asks until there is an answer that waiting would not change.
Answer RemoteClient::State::ask(const Request& request) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(options.patience_seconds);
  double wait = options.first_wait_seconds;
  bool told = false;
  for (;;) {
    const Answer answer = once(request);
    TimeLimit::check(request.name);
    if (answer.result == CURLE_OK && is_success(answer.status)) return answer;
    const std::string reason = reason_of(answer);
    if (!may_pass(answer)) throw StorageError(answer.status, concat(request.name, ": ", reason));
    const double pause = std::max(wait, answer.retry_after_seconds);
    if (Clock::now() + std::chrono::duration<double>(pause) > end || StopSignal::requested())
      throw StorageError(answer.status, concat(request.name, ": ", reason, "; asked again for ",
                                               human_duration(options.patience_seconds), " in vain"));
    if (!told)
      log->warn("{}: {}; it is asked again for up to {}", request.name, reason,
                human_duration(options.patience_seconds));
    told = true;
    const auto next = Clock::now() + std::chrono::duration<double>(pause);
    while (Clock::now() < next && !StopSignal::requested() && !TimeLimit::has_run_out(request.name))
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    constexpr double kLongestWait = 20.0;
    wait = std::min(2 * wait, kLongestWait);
  }
}

RemoteClient::RemoteClient(const RemoteOptions& options, std::shared_ptr<Log> log)
    : state_(new State{.options = options, .log = std::move(log)}) {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  CAVMAE_CHECK(started == CURLE_OK, "libcurl cannot be started: ", curl_easy_strerror(started));
}

RemoteClient::~RemoteClient() = default;

RemoteFacts RemoteClient::facts(const std::string& name) const {
  const Answer answer = state_->ask({.name = name, .is_head = true});
  if (answer.size < 0)
    throw StorageError(answer.status, concat(name, ": the server does not say how long it is"));
  return {.size = answer.size,
          .stamp = !answer.etag.empty() ? answer.etag : concat(answer.size, ":", answer.modified)};
}

std::string RemoteClient::read(const std::string& name, int64_t offset, int64_t count) const {
  if (count <= 0) return "";
  std::string bytes;
  while (static_cast<int64_t>(bytes.size()) < count) {
    const int64_t from = offset + static_cast<int64_t>(bytes.size());
    const auto before = bytes.size();
    Request request{.name = name, .range = concat(from, "-", offset + count - 1)};
    request.begin = [&] { bytes.resize(before); };
    request.sink = [&](std::string_view piece) {
      bytes.append(piece);
      return static_cast<int64_t>(bytes.size()) <= count;
    };
    Answer answer;
    try {
      answer = state_->ask(request);
    } catch (const StorageError& error) {
      constexpr long kBeyondTheEnd = 416;
      if (error.status() == kBeyondTheEnd) return bytes;
      throw;
    }
    const bool ignores_range =
        answer.status == 200 && (from > 0 || static_cast<int64_t>(bytes.size()) > count);
    if (ignores_range)
      throw StorageError(
          answer.status,
          concat(name,
                 ": the server ignores ranges and sends all of it; use --shard-cache DIR, which "
                 "copies each shard once"));
    if (bytes.size() == before || answer.status == 200) break;
    if (static_cast<int64_t>(bytes.size()) < count && answer.size >= 0 &&
        static_cast<int64_t>(bytes.size() - before) == answer.size)
      break;  // the file ends there
  }
  return bytes;
}

std::string RemoteClient::read_all(const std::string& name, int64_t max_bytes) const {
  std::string bytes;
  Request request{.name = name};
  request.begin = [&] { bytes.clear(); };
  request.sink = [&](std::string_view piece) {
    bytes.append(piece);
    return static_cast<int64_t>(bytes.size()) <= max_bytes;
  };
  state_->ask(request);
  if (static_cast<int64_t>(bytes.size()) > max_bytes)
    throw StorageError(0, concat(name, ": is longer than ", max_bytes, " bytes"));
  return bytes;
}

std::vector<std::string> RemoteClient::list(const std::string& name) const {
  const std::string rest = name.substr(std::string_view("s3://").size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  const std::string bucket = rest.substr(0, slash), prefix = rest.substr(std::min(slash + 1, rest.size()));
  std::vector<std::string> names;
  std::string token;
  do {
    std::vector<std::pair<std::string, std::string>> query = {{"list-type", "2"}, {"prefix", prefix}};
    if (!token.empty()) query.emplace_back("continuation-token", token);
    std::string xml;
    Request request{.name = "s3://" + bucket + "/", .query = std::move(query)};
    request.begin = [&] { xml.clear(); };
    request.sink = [&](std::string_view piece) {
      xml.append(piece);
      return true;
    };
    state_->ask(request);
    size_t at = 0;
    for (std::string key = between(xml, "Key", at); !key.empty(); key = between(xml, "Key", at))
      names.push_back("s3://" + bucket + "/" + unescape_xml(key));
    at = 0;
    token = unescape_xml(between(xml, "NextContinuationToken", at));
  } while (!token.empty());
  std::ranges::sort(names);
  return names;
}

void RemoteClient::download(const std::string& name, const std::filesystem::path& to) const {
  constexpr int64_t kPieceBytes = 16 << 20;
  const int64_t size = facts(name).size;
  write_file_with(to, [&](const std::filesystem::path& temporary) {
    std::ofstream out(temporary, std::ios::binary);
    for (int64_t offset = 0; offset < size;) {
      const std::string piece = read(name, offset, std::min(kPieceBytes, size - offset));
      CAVMAE_CHECK(!piece.empty(), name, ": ends after ", offset, " of ", size, " bytes");
      out.write(piece.data(), static_cast<std::streamsize>(piece.size()));
      CAVMAE_CHECK(out.good(), to.string(), ": cannot be written; is the disk full?");
      offset += static_cast<int64_t>(piece.size());
    }
    out.close();
    CAVMAE_CHECK(!out.fail(), to.string(), ": cannot be written; is the disk full?");
  });
}

}  // namespace cavmae
