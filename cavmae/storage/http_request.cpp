#include "cavmae/storage/http_request.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <mutex>
#include <new>

#include <curl/curl.h>

#include "cavmae/core/stop_signal.h"
#include "cavmae/core/text.h"
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

// What a transfer's callbacks need.
struct Transfer {
  const RemoteRequest& request;
  RemoteAnswer& answer;
  CURL* handle;
  bool was_ended = false;  // by the sink
};

size_t take_body(char* bytes, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  long status = 0;
  curl_easy_getinfo(transfer.handle, CURLINFO_RESPONSE_CODE, &status);
  const std::string_view piece(bytes, size * count);
  if (status != 200 && status != 206) {
    constexpr size_t kMaxShown = 4096;
    std::string& body = transfer.answer.error_body;
    body.append(piece.substr(0, kMaxShown - std::min(kMaxShown, body.size())));
    return piece.size();
  }
  if (!transfer.request.sink || transfer.request.sink(piece)) return piece.size();
  transfer.was_ended = true;
  return 0;
}

// "bytes 0-99/1234": the file's size.
void take_range(std::string_view text, RemoteFacts& file) {
  const size_t slash = text.rfind('/');
  if (slash == std::string_view::npos) return;
  int64_t size = 0;
  const auto [end, error] = std::from_chars(text.data() + slash + 1, text.data() + text.size(), size);
  if (error == std::errc() && end == text.data() + text.size()) file.size = size;
}

size_t take_header(char* bytes, size_t size, size_t count, void* user) {
  RemoteAnswer& answer = static_cast<Transfer*>(user)->answer;
  const std::string_view line(bytes, size * count);
  if (line.starts_with("HTTP/")) answer.file = {};  // what came before led here
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return line.size();
  const std::string name = lower(line.substr(0, colon)), value(trim(line.substr(colon + 1)));
  if (name == "etag") answer.file.etag = value;
  if (name == "last-modified") answer.file.modified = value;
  if (name == "content-range") take_range(value, answer.file);
  if (name == "x-amz-bucket-region") answer.region = value;
  return line.size();
}

int watch(void*, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return StopSignal::requested() ? 1 : 0;
}

bool may_pass(CURLcode result) {
  switch (result) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_SSL_CONNECT_ERROR:
      return true;
    default:
      return false;
  }
}

// Where the certificates of trusted authorities lie, as the environment says it to curl's program and to
// OpenSSL; libcurl itself reads no variables. Null: as libcurl was built.
struct TrustedAuthorities {
  const char* file = nullptr;
  const char* folder = nullptr;
};

TrustedAuthorities trusted_authorities() {
  const auto value = [](const char* name) -> const char* {
    const char* text = std::getenv(name);
    return text == nullptr || *text == '\0' ? nullptr : text;
  };
  if (const char* file = value("CURL_CA_BUNDLE")) return {.file = file};
  return {.file = value("SSL_CERT_FILE"), .folder = value("SSL_CERT_DIR")};
}

// Of a transfer that failed for `result`; `details`: libcurl's own words for it.
std::string trouble_of(CURLcode result, const std::string& details) {
  const std::string text = details.empty() ? curl_easy_strerror(result) : details;
  if (result == CURLE_PEER_FAILED_VERIFICATION)
    return concat("its certificate is not trusted: ", text,
                  "; where an authority of your own has signed it, name that one's certificate in the "
                  "environment: CURL_CA_BUNDLE=FILE.pem (or SSL_CERT_FILE)");
  if (result == CURLE_SSL_CACERT_BADFILE)
    return concat("the certificates that CURL_CA_BUNDLE or SSL_CERT_FILE name cannot be read: ", text);
  return curl_easy_strerror(result);
}

// Options that are of curl's own kinds are given as long.
void set_up(CURL* curl, const RemoteRequest& request, const RemoteAddress& address, double stalled_seconds) {
  constexpr long kBytesASecond = 1024;
  curl_easy_setopt(curl, CURLOPT_URL, address.url.c_str());
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "cavmae");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  // A signature is of one address, and a key is for nobody else.
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, address.signature.empty() ? 1L : 0L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 8L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, std::lround(1000 * stalled_seconds));
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, kBytesASecond);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, std::max(1L, std::lround(stalled_seconds)));
  const TrustedAuthorities authorities = trusted_authorities();
  if (authorities.file != nullptr) curl_easy_setopt(curl, CURLOPT_CAINFO, authorities.file);
  if (authorities.folder != nullptr) curl_easy_setopt(curl, CURLOPT_CAPATH, authorities.folder);
  if (request.is_head) curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  if (!request.range.empty()) curl_easy_setopt(curl, CURLOPT_RANGE, request.range.c_str());
  if (!address.signature.empty()) {
    curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, address.signature.c_str());
    curl_easy_setopt(curl, CURLOPT_USERPWD, address.credentials.c_str());
  }
}

}  // namespace

std::string text_of_tag(const std::string& xml, const std::string& tag, size_t& at) {
  const std::string open = "<" + tag + ">", close = "</" + tag + ">";
  const size_t begin = xml.find(open, at);
  if (begin == std::string::npos) return "";
  const size_t end = xml.find(close, begin);
  if (end == std::string::npos) return "";
  at = end + close.size();
  return xml.substr(begin + open.size(), end - begin - open.size());
}

std::optional<int64_t> RemoteFacts::modified_seconds() const {
  const time_t seconds = modified.empty() ? -1 : curl_getdate(modified.c_str(), nullptr);
  return seconds < 0 ? std::nullopt : std::optional<int64_t>(seconds);
}

std::string RemoteAnswer::reason() const {
  if (status == 0 || status == 200 || status == 206) return trouble;
  size_t at = 0;
  const std::string code = text_of_tag(error_body, "Code", at);
  const std::string shown = concat("HTTP ", status, code.empty() ? "" : " (" + code + ")", ": ");
  if (status == 404) return shown + "there is no such file";
  if (status == 403)
    return shown +
           "it may not be read; check the key and the secret (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)";
  if (status == 401) return shown + "it asks for a login";
  if (status >= 300 && status < 400)
    return shown + (region.empty() ? "it is elsewhere; check AWS_ENDPOINT_URL and AWS_REGION"
                                   : "the bucket lies in another region; set AWS_REGION=" + region);
  return shown +
         (status >= 500 || status == 429 ? "the server is overloaded or broken" : "the server refuses");
}

struct HttpConnections::State {
  std::mutex mutex;
  std::vector<Handle> idle;  // each with its connections

  Handle take() {
    const std::lock_guard lock(mutex);
    if (idle.empty()) {
      Handle handle(curl_easy_init());
      if (!handle) throw std::bad_alloc();
      return handle;
    }
    Handle handle = std::move(idle.back());
    idle.pop_back();
    return handle;
  }
  void give_back(Handle handle) {
    curl_easy_reset(handle.get());
    const std::lock_guard lock(mutex);
    idle.push_back(std::move(handle));
  }
};

HttpConnections::HttpConnections() : state_(new State) {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  CAVMAE_CHECK(started == CURLE_OK, "libcurl cannot be started: ", curl_easy_strerror(started));
}

HttpConnections::~HttpConnections() = default;

RemoteAnswer HttpConnections::ask(const RemoteRequest& request, double stalled_seconds) {
  const RemoteAddress address = address_of(request.name, request.query);
  Handle handle = state_->take();
  CURL* curl = handle.get();
  if (request.begin) request.begin();
  RemoteAnswer answer;
  Transfer transfer{.request = request, .answer = answer, .handle = curl};
  Headers headers;
  for (const std::string& header : address.headers)
    headers.reset(curl_slist_append(headers.release(), header.c_str()));
  set_up(curl, request, address, stalled_seconds);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, watch);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  char details[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, details);
  const CURLcode result = curl_easy_perform(curl);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, nullptr);  // the connection outlives it
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
  curl_off_t number = 0;
  if (answer.status == 200 &&
      curl_easy_getinfo(curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &number) == CURLE_OK)
    answer.file.size = number;
  if (curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &number) == CURLE_OK)
    answer.retry_after_seconds = static_cast<double>(number);
  if (result != CURLE_OK && !(transfer.was_ended && result == CURLE_WRITE_ERROR)) {
    answer.trouble = trouble_of(result, details);
    const bool is_refusal = answer.status >= 400 && answer.status < 500;
    answer.may_pass = may_pass(result) && !is_refusal;
  }
  if (answer.status >= 500 || answer.status == 429 || answer.status == 408) answer.may_pass = true;
  state_->give_back(std::move(handle));
  return answer;
}

}  // namespace cavmae
