#include "cavmae/search/postgres/session.h"

#include <algorithm>
#include <cmath>
#include <thread>

#include "cavmae/core/secrets.h"
#include "cavmae/core/stop_signal.h"
#include "cavmae/search/postgres/url.h"

namespace cavmae {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kMostTries = 20;  // of what the server asks to try again

// Serialization, a deadlock, or a row that came in between.
bool is_to_be_repeated(const PostgresError& error) {
  return error.code() == "40001" || error.code() == "40P01" || error.code() == "23505";
}

void undo(PostgresConnection& connection) {
  try {
    connection.execute("ROLLBACK");
  } catch (const Error&) {
    // With the connection went the transaction.
  }
}

}  // namespace

PostgresSession::PostgresSession(std::string url, PostgresPatience patience, std::shared_ptr<Log> log,
                                 WhenConnected when_connected)
    : url_(std::move(url)),
      name_(shown_url(url_)),
      patience_(patience),
      log_(std::move(log)),
      when_connected_(std::move(when_connected)) {
  const std::lock_guard lock(mutex_);
  try {
    connected();
  } catch (const PostgresLost& e) {
    give_up(e.what());
  } catch (const PostgresError& e) {
    refuse(e);
  }
}

PostgresConnection& PostgresSession::connected() {
  if (connection_ != nullptr) return *connection_;
  if (Clock::now() < quiet_until_) throw PostgresLost(last_failure_);
  auto made = std::make_unique<PostgresConnection>(url_);
  // A server between may have given the session of somebody else, with its locks.
  made->execute("DISCARD ALL");
  if (when_connected_) when_connected_(*made);
  connection_ = std::move(made);
  return *connection_;
}

void PostgresSession::refuse(const PostgresError& error) const {
  throw Error(concat(name_, ": PostgreSQL says: ", without_passwords(error.what())));
}

void PostgresSession::give_up(const std::string& why) {
  constexpr std::chrono::seconds kQuiet{1};  // in which nobody else waits for the same answer
  last_failure_ = why;
  if (Clock::now() >= quiet_until_) quiet_until_ = Clock::now() + kQuiet;
  throw LibraryAway(
      concat(name_, ": the library's database cannot be reached: ", without_passwords(why),
             "; see that PostgreSQL runs there, has this database and lets this machine and user "
             "in (passwords: ~/.pgpass), and try again"));
}

void PostgresSession::wait_or_give_up(const std::string& why, bool was_connected, int tries) {
  connection_.reset();
  const auto now = Clock::now();
  if (tries == 0) waiting_since_ = now;
  if (patience_.seconds <= 0) {
    if (was_connected && tries == 0) return;
    give_up(why);
  }
  constexpr double kFirst = 0.25, kLongest = 8.0;
  const double waited = std::chrono::duration<double>(now - waiting_since_).count();
  if (waited >= patience_.seconds || StopSignal::requested()) give_up(why);
  const double wait = std::min(kLongest, kFirst * std::exp2(std::min(tries, 10)));
  log_->warn("{}: the connection is lost ({}); trying again in {} s", name_, without_passwords(why), wait);
  const auto until = now + std::chrono::duration<double>(wait);
  while (Clock::now() < until && !StopSignal::requested())
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

void PostgresSession::attempt(const std::function<void(PostgresConnection&)>& work) {
  const std::lock_guard lock(mutex_);
  for (int tries = 0, repeats = 0;;) {
    const bool was_connected = connection_ != nullptr;
    try {
      work(connected());
      if (tries > 0 && patience_.seconds > 0) log_->info("{}: is there again", name_);
      return;
    } catch (const PostgresLost& e) {
      wait_or_give_up(e.what(), was_connected, tries++);
    } catch (const PostgresError& e) {
      if (connection_ != nullptr) undo(*connection_);
      if (!is_to_be_repeated(e) || ++repeats == kMostTries) refuse(e);
    } catch (...) {
      if (connection_ != nullptr) undo(*connection_);
      throw;
    }
  }
}

}  // namespace cavmae
