// PostgreSQL for tests: Debian's server, which has no pgvector, and PGlite, which has it and takes one
// connection at a time. Test code only.
#pragma once

#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <pwd.h>
#include <unistd.h>

#include "cavmae/search/postgres/connection.h"

#include "tests/support/background.h"
#include "tests/support/servers.h"

namespace cavmae {

// Where Debian keeps the programs of the server, the newest version's; empty: nowhere.
inline std::filesystem::path postgres_programs() {
  std::filesystem::path best;
  std::error_code failed;
  for (const auto& version : std::filesystem::directory_iterator("/usr/lib/postgresql", failed))
    if (std::filesystem::exists(version.path() / "bin/initdb") && version.path() > best)
      best = version.path();
  return best.empty() ? best : best / "bin";
}
inline bool have_postgres() {
  return !postgres_programs().empty();
}

inline std::filesystem::path pglite_folder() {
  return std::filesystem::path(CAVMAE_SOURCE_DIR) / "tests/search/pglite";
}
inline bool have_pglite() {
  static const bool found =
      std::filesystem::exists(pglite_folder() / "node_modules/@electric-sql/pglite-socket") &&
      std::system("node --version >/dev/null 2>&1") == 0;
  return found;
}

inline void wait_for_postgres(const std::string& url) {
  const auto answers = [&] {
    try {
      PostgresConnection connection(url);
      return true;
    } catch (const PostgresLost&) {
      return false;
    }
  };
  EXPECT_TRUE(testing_support::wait_until(answers, 60, "PostgreSQL"));
}

// A server of its own on a free port, with one role, `postgres`, that needs no password. It does not run as
// root, so that where the test does, nobody runs it.
class PostgresServer : public testing_support::Server {
 public:
  PostgresServer() {
    const std::string data = (folder_ / "data").string(), programs = postgres_programs().string();
    std::string as;
    if (::geteuid() == 0) {
      const passwd* nobody = ::getpwnam("nobody");
      EXPECT_EQ(::chown(folder_.path().c_str(), nobody->pw_uid, nobody->pw_gid), 0);
      as = "setpriv --reuid=nobody --regid=nogroup --clear-groups ";
    }
    const auto made = testing_support::run_shell("cd '" + folder_.path().string() + "' && " + as + programs +
                                                 "/initdb -D '" + data +
                                                 "' -U postgres -A trust -N -E UTF8 --locale=C.UTF-8");
    EXPECT_EQ(made.exit_code, 0) << made.err;
    command_ = as + programs + "/postgres -D '" + data + "' -p " + std::to_string(port_) + " -k '" +
               folder_.path().string() +
               "' -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=50 >/dev/null 2>&1";
    begin();
  }
  ~PostgresServer() override { end(); }

  // Breaks all connections off.
  void end() { stop(SIGINT); }
  void begin() {
    start();
    wait_for_postgres(url("postgres"));
  }
  std::string url(const std::string& database) const {
    return "postgresql://postgres:s3cret@127.0.0.1:" + std::to_string(port_) + "/" + database;
  }
  // An empty database; its URL.
  std::string new_database() {
    const std::string name = "test" + std::to_string(++databases_);
    PostgresConnection connection(url("postgres"));
    connection.execute("CREATE DATABASE " + name);
    return url(name);
  }

 private:
  int databases_ = 0;
};

// In memory, without users.
class PgliteServer : public testing_support::Server {
 public:
  PgliteServer() {
    command_ = "node '" + (pglite_folder() / "server.mjs").string() + "' " + std::to_string(port_) +
               " >/dev/null 2>&1";
    start();
    wait_for_postgres(url());
  }
  std::string url() const {
    return "postgresql://postgres:s3cret@127.0.0.1:" + std::to_string(port_) + "/postgres?sslmode=disable";
  }
};

}  // namespace cavmae
