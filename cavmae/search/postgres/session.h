// One connection to a library's server that is made anew when it is lost. Private to this folder; safe from
// several threads, which take turns.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "cavmae/core/log.h"
#include "cavmae/search/library_reader.h"
#include "cavmae/search/postgres/connection.h"

namespace cavmae {

// What is tried when the connection is lost.
struct PostgresPatience {
  // So long the server is asked again, at growing distances; 0: once, at once, so that who waits for an
  // answer hears soon that there is none.
  double seconds = 0.0;
};

class PostgresSession {
 public:
  using WhenConnected = std::function<void(PostgresConnection&)>;

  // Connects; when_connected is called for each connection. Throws LibraryAway, without patience.
  PostgresSession(std::string url, PostgresPatience patience, std::shared_ptr<Log> log,
                  WhenConnected when_connected = {});

  // The library's name as messages show it.
  const std::string& name() const { return name_; }

  // Calls work(PostgresConnection&), and once more from its begin where the connection is lost meanwhile or
  // the server asks to try again, so that it may do nothing twice. Throws LibraryAway, and Error with the
  // name for what the server refuses.
  template <class Work>
  auto use(const Work& work) {
    std::optional<std::invoke_result_t<Work, PostgresConnection&>> result;
    attempt([&](PostgresConnection& connection) { result.emplace(work(connection)); });
    return std::move(*result);
  }
  // The same as one transaction.
  template <class Work>
  auto transaction(const Work& work) {
    return use([&](PostgresConnection& connection) {
      connection.execute("BEGIN");
      auto result = work(connection);
      connection.execute("COMMIT");
      return result;
    });
  }

 private:
  void attempt(const std::function<void(PostgresConnection&)>& work);
  PostgresConnection& connected();
  void wait_or_give_up(const std::string& why, bool was_connected, int tries);
  [[noreturn]] void refuse(const PostgresError& error) const;
  [[noreturn]] void give_up(const std::string& why);

  std::string url_, name_;
  PostgresPatience patience_;
  std::shared_ptr<Log> log_;
  WhenConnected when_connected_;
  std::mutex mutex_;  // of what follows
  std::unique_ptr<PostgresConnection> connection_;
  std::chrono::steady_clock::time_point waiting_since_, quiet_until_;
  std::string last_failure_;
};

}  // namespace cavmae
