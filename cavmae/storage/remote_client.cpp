#include "cavmae/storage/remote_client.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <optional>
#include <thread>
#include <utility>

#include "cavmae/core/files.h"
#include "cavmae/core/stop_signal.h"
#include "cavmae/core/text.h"
#include "cavmae/core/time_limit.h"
#include "cavmae/storage/http_request.h"
#include "cavmae/storage/remote_url.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

std::string unescape_xml(std::string text) {
  for (const auto& [escaped, letter] :
       {std::pair{"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&apos;", "'"}, {"&amp;", "&"}})
    for (size_t at = text.find(escaped); at != std::string::npos; at = text.find(escaped, at + 1))
      text.replace(at, std::string_view(escaped).size(), letter);
  return text;
}

// Of a file that is written beside its name.
void write_piece(std::ofstream& out, std::string_view piece, const fs::path& file) {
  out.write(piece.data(), static_cast<std::streamsize>(piece.size()));
  CAVMAE_CHECK(out.good(), file.string(), ": cannot be written; is the disk full?");
}

}  // namespace

bool are_of_one_file(const RemoteFacts& a, const RemoteFacts& b) {
  if (a.size != b.size) return false;
  if (a.etag == b.etag && !a.etag.empty()) return true;
  return a.modified == b.modified && (!a.modified.empty() || a.etag == b.etag);
}

struct RemoteClient::State {
  RemoteOptions options;
  std::shared_ptr<Log> log;
  HttpConnections connections = {};

  RemoteAnswer ask(const RemoteRequest& request);
  std::optional<std::string> read(const std::string& name, int64_t offset, int64_t count,
                                  const RemoteFacts* expected);
};

// Asks until there is an answer that waiting would not change.
RemoteAnswer RemoteClient::State::ask(const RemoteRequest& request) {
  constexpr double kLongestWait = 20.0;
  const auto end = Clock::now() + Seconds(options.patience_seconds);
  const auto first = Clock::now();
  double wait = options.first_wait_seconds;
  bool told = false;
  for (;;) {
    const auto begin = Clock::now();
    RemoteAnswer answer = connections.ask(request, options.stalled_seconds);
    if (answer.is_success()) {
      if (told)
        log->info("{}: is there again after {}", request.name,
                  human_duration(Seconds(Clock::now() - first).count()));
      return answer;
    }
    const std::string reason = answer.reason();
    CAVMAE_CHECK(!StopSignal::requested(), request.name, ": stopped by a signal while it was waited for");
    if (!answer.may_pass) throw StorageError(answer.status, concat(request.name, ": ", reason));
    const double pause = std::max(wait, answer.retry_after_seconds);
    if (Clock::now() + Seconds(pause) > end)
      throw StorageError(answer.status, concat(request.name, ": ", reason, "; asked again for ",
                                               human_duration(options.patience_seconds), " in vain"));
    if (!std::exchange(told, true))
      log->warn("{}: {}; asking again for up to {}", request.name, reason,
                human_duration(options.patience_seconds));
    const auto next = Clock::now() + Seconds(pause);
    while (Clock::now() < next && !StopSignal::requested())
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    TimeLimit::extend(Clock::now() - begin);
    wait = std::min(2 * wait, kLongestWait);
  }
}

// Nothing where the server sends the whole file instead.
std::optional<std::string> RemoteClient::State::read(const std::string& name, int64_t offset, int64_t count,
                                                     const RemoteFacts* expected) {
  constexpr long kWholeFile = 200, kBeyondTheEnd = 416;
  constexpr int kTries = 4;
  std::string bytes;
  RemoteRequest request{.name = name, .range = concat(offset, "-", offset + count - 1)};
  request.begin = [&] { bytes.clear(); };
  // Ending a transfer that is as long as it should be would cost its connection.
  request.sink = [&](std::string_view piece) {
    const auto room = static_cast<size_t>(count) - bytes.size();
    bytes.append(piece.substr(0, room));
    return piece.size() <= room;
  };
  for (int i = 0; i < kTries; ++i) {
    RemoteAnswer answer;
    try {
      answer = ask(request);
    } catch (const StorageError& error) {
      if (error.status() == kBeyondTheEnd) return "";
      throw;
    }
    if (expected != nullptr && !are_of_one_file(*expected, answer.file))
      throw StorageError(
          answer.status,
          concat(name, ": has become another file since it was listed; run the command again"));
    // All of a file that was asked for as a whole is what was asked for.
    if (answer.status == kWholeFile && (offset > 0 || answer.file.size > count)) return std::nullopt;
    const auto have = static_cast<int64_t>(bytes.size());
    if (have == count || answer.file.size < 0 || offset + have >= answer.file.size) return bytes;
  }
  throw StorageError(0, concat(name, ": the server sends less than the ", count, " bytes from byte ", offset,
                               " on that it has"));
}

RemoteClient::RemoteClient(const RemoteOptions& options, std::shared_ptr<Log> log)
    : state_(new State{.options = options, .log = std::move(log)}) {}

RemoteClient::~RemoteClient() = default;

RemoteFacts RemoteClient::facts(const std::string& name) const {
  RemoteAnswer answer;
  try {
    answer = state_->ask({.name = name, .is_head = true});
  } catch (const StorageError& error) {
    if (error.status() != 403 && error.status() != 405 && error.status() != 501) throw;
    // Some answer no question about a file, only for it.
    answer = state_->ask({.name = name, .range = "0-0", .sink = [](std::string_view) { return false; }});
  }
  if (answer.file.size < 0)
    throw StorageError(answer.status, concat(name, ": the server does not say how long it is"));
  return answer.file;
}

std::string RemoteClient::read(const std::string& name, int64_t offset, int64_t count,
                               const RemoteFacts* expected) const {
  if (count <= 0) return "";
  auto bytes = state_->read(name, offset, count, expected);
  if (!bytes)
    throw StorageError(200, concat(name,
                                   ": the server ignores ranges and sends all of the file; use --shard-cache "
                                   "DIR, which copies each shard once"));
  return std::move(*bytes);
}

std::string RemoteClient::read_all(const std::string& name, int64_t max_bytes, RemoteFacts* facts) const {
  std::string bytes;
  RemoteRequest request{.name = name};
  request.begin = [&] { bytes.clear(); };
  request.sink = [&](std::string_view piece) {
    bytes.append(piece);
    return static_cast<int64_t>(bytes.size()) <= max_bytes;
  };
  const RemoteAnswer answer = state_->ask(request);
  if (facts != nullptr) *facts = answer.file;
  if (static_cast<int64_t>(bytes.size()) > max_bytes)
    throw StorageError(0, concat(name, ": is longer than ", max_bytes, " bytes"));
  return bytes;
}

std::vector<std::string> RemoteClient::list(const std::string& name) const {
  constexpr std::string_view kS3 = "s3://";
  CAVMAE_CHECK(name.starts_with(kS3), name, ": only object stores can be asked what they hold");
  const std::string rest = name.substr(kS3.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  const std::string bucket = rest.substr(0, slash), prefix = rest.substr(std::min(slash + 1, rest.size()));
  std::vector<std::string> names;
  std::string token;
  do {
    std::vector<std::pair<std::string, std::string>> query = {{"list-type", "2"}, {"prefix", prefix}};
    if (!token.empty()) query.emplace_back("continuation-token", token);
    std::string xml;
    RemoteRequest request{.name = concat(kS3, bucket, "/"), .query = std::move(query)};
    request.begin = [&] { xml.clear(); };
    request.sink = [&](std::string_view piece) {
      xml.append(piece);
      return true;
    };
    state_->ask(request);
    size_t at = 0;
    for (std::string key = text_of_tag(xml, "Key", at); !key.empty(); key = text_of_tag(xml, "Key", at))
      names.push_back(concat(kS3, bucket, "/", unescape_xml(key)));
    at = 0;
    token = unescape_xml(text_of_tag(xml, "NextContinuationToken", at));
  } while (!token.empty());
  std::ranges::sort(names);
  return names;
}

void RemoteClient::download(const std::string& name, const RemoteFacts& facts, const fs::path& to,
                            const std::function<void(int64_t)>& report) const {
  constexpr int64_t kPieceBytes = 16 << 20;
  const auto tell = [&](int64_t bytes) {
    if (report) report(bytes);
  };
  write_file_with(to, [&](const fs::path& temporary) {
    std::ofstream out(temporary, std::ios::binary);
    int64_t have = 0;
    while (have < facts.size) {
      const auto piece = state_->read(name, have, std::min(kPieceBytes, facts.size - have), &facts);
      if (!piece) break;
      CAVMAE_CHECK(!piece->empty(), name, ": ends after ", have, " of ", facts.size, " bytes");
      write_piece(out, *piece, to);
      have += static_cast<int64_t>(piece->size());
      tell(have);
    }
    if (have < facts.size) {  // a server that knows no ranges
      RemoteRequest request{.name = name};
      request.begin = [&] {
        out.close();
        out.open(temporary, std::ios::binary | std::ios::trunc);
        have = 0;
      };
      request.sink = [&](std::string_view piece) {
        out.write(piece.data(), static_cast<std::streamsize>(piece.size()));
        have += static_cast<int64_t>(piece.size());
        tell(have);
        return out.good();
      };
      state_->ask(request);
      CAVMAE_CHECK(!out.good() || have == facts.size, name, ": has ", have, " bytes instead of ", facts.size);
    }
    out.close();
    CAVMAE_CHECK(!out.fail(), to.string(), ": cannot be written; is the disk full?");
  });
}

}  // namespace cavmae
