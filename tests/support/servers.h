// Servers for tests, each a process of its own on a free port of this machine: nginx, an object store, and
// one that misbehaves. Test code only.
#pragma once

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/program.h"
#include "tests/support/tools.h"

namespace cavmae::testing_support {

inline bool have_nginx() {
  static const bool found = std::system("PATH=$PATH:/usr/sbin nginx -v >/dev/null 2>&1") == 0;
  return found;
}
inline bool have_openssl() {
  static const bool found = std::system("openssl version >/dev/null 2>&1") == 0;
  return found;
}
inline bool have_python() {
  static const bool found = std::system("/usr/bin/python3 --version >/dev/null 2>&1") == 0;
  return found;
}
inline std::filesystem::path object_store_program() {
  return std::filesystem::path(CAVMAE_SOURCE_DIR) / "tests/storage/s3rver/node_modules/s3rver/bin/s3rver.js";
}
inline bool have_object_store() {
  static const bool found =
      std::filesystem::exists(object_store_program()) && std::system("node --version >/dev/null 2>&1") == 0;
  return found;
}

inline sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

// A port of 127.0.0.1 that is nobody else's for as long as it lives, also while no server has it: below those
// that the system hands out by itself, and locked against other tests.
class TestPort {
 public:
  TestPort() {
    constexpr int kFirst = 20'000, kPorts = 12'000;
    const auto folder =
        std::filesystem::temp_directory_path() / ("cavmae-test-ports-" + std::to_string(::geteuid()));
    std::filesystem::create_directories(folder);
    for (int i = 0; lock_ < 0 && i < kPorts; ++i) {
      number_ = kFirst + (static_cast<int>(::getpid()) * 61 + i) % kPorts;
      lock_ = locked(folder / std::to_string(number_));
      if (lock_ < 0 || is_free()) continue;
      ::close(lock_);
      lock_ = -1;
    }
    if (lock_ < 0) ADD_FAILURE() << "no port is free";
  }
  ~TestPort() { ::close(lock_); }
  TestPort(const TestPort&) = delete;
  TestPort& operator=(const TestPort&) = delete;
  int number() const { return number_; }

 private:
  // -1: somebody has it.
  static int locked(const std::filesystem::path& file) {
    const int fd = ::open(file.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 || ::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
    ::close(fd);
    return -1;
  }
  bool is_free() const {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), reuse = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
    sockaddr_in address = loopback(number_);
    const bool is_bound = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    ::close(fd);
    return is_bound;
  }

  int number_ = 0, lock_ = -1;
};

class Server {
 public:
  Server() = default;
  virtual ~Server() { stop(); }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  int port() const { return port_; }
  std::string url(const std::string& path = "") const {
    return scheme_ + "://127.0.0.1:" + std::to_string(port_) + "/" + path;
  }
  // Fails the test when it does not answer within two minutes.
  void start() {
    pid_ = ::fork();
    if (pid_ == 0) {
      ::execl("/bin/sh", "sh", "-c", ("PATH=$PATH:/usr/sbin; exec " + command_).c_str(), nullptr);
      ::_exit(127);
    }
    constexpr int kTries = 12000;
    for (int i = 0; i < kTries; ++i) {
      if (answers()) return;
      if (::waitpid(pid_, nullptr, WNOHANG) == pid_) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ADD_FAILURE() << "does not start: " << command_;
  }
  void stop() { stop(SIGKILL); }

 protected:
  // Sends the signal, and SIGKILL where the server is still there after some seconds.
  void stop(int signal) {
    if (pid_ <= 0) return;
    ::kill(pid_, signal);
    constexpr int kTries = 1000;
    for (int i = 0; signal != SIGKILL && i < kTries; ++i) {
      if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
        pid_ = -1;
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

  std::string command_;
  std::string scheme_ = "http";
  TemporaryFolder folder_;
  const TestPort own_port_;
  const int port_ = own_port_.number();

 private:
  bool answers() const {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = loopback(port_);
    const bool connected = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    ::close(fd);
    return connected;
  }

  pid_t pid_ = -1;
};

// A certificate of 127.0.0.1 that an authority of its own has signed, both made by openssl, in a folder.
class Certificate {
 public:
  Certificate() {
    const std::string folder = folder_.path().string();
    const Outcome outcome = run_shell(
        "cd '" + folder +
        "' && printf 'subjectAltName=IP:127.0.0.1' >names && "
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=an authority' -keyout authority.key -out authority.pem && "
        "openssl req -newkey rsa:2048 -nodes -subj '/CN=a server' -keyout server.key -out server.csr && "
        "openssl x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile names "
        "-out server.pem");
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  }
  std::filesystem::path authority() const { return folder_ / "authority.pem"; }
  std::filesystem::path file() const { return folder_ / "server.pem"; }
  std::filesystem::path key() const { return folder_ / "server.key"; }

 private:
  TemporaryFolder folder_;
};

// Gives out the files below `root`: as they are; under moved/ by a redirect, under whole/ without ranges.
// What lies under secret/ may not be read, and under broken/ is an error of the server. With a certificate it
// speaks https alone.
class Nginx : public Server {
 public:
  explicit Nginx(const std::filesystem::path& root, const Certificate* certificate = nullptr) {
    if (certificate != nullptr) scheme_ = "https";
    std::ofstream out(folder_ / "nginx.conf");
    const std::string own = folder_.path().string(), files = root.string();
    out << "daemon off; master_process off; worker_processes 1; pid " << own << "/pid; error_log " << own
        << "/errors;\n"
        << (::geteuid() == 0 ? "user root;\n" : "") << "events {}\nhttp {\n"
        << "log_format connections '$connection $status $request_method $uri $http_range';\n"
        << "access_log " << own << "/access connections;\n";
    for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"})
      out << kind << "_temp_path " << own << "/" << kind << ";\n";
    out << "server { listen 127.0.0.1:" << port_ << (certificate != nullptr ? " ssl" : "") << "; root '"
        << files << "';\n";
    if (certificate != nullptr)
      out << "ssl_certificate '" << certificate->file().string() << "'; ssl_certificate_key '"
          << certificate->key().string() << "';\n";
    out << "location /moved/ { rewrite ^/moved/(.*)$ /$1 redirect; }\n"
        << "location /whole/ { alias '" << files << "/'; max_ranges 0; }\n"
        << "location /secret/ { deny all; }\n"
        << "location /broken/ { return 503; }\n} }\n";
    out.close();
    command_ = "nginx -p '" + own + "' -c '" + own + "/nginx.conf' -e '" + own + "/errors' 2>/dev/null";
    start();
  }
  // Of each request: the connection's number, status, method, path and range.
  std::string log() const { return read_whole(folder_ / "access"); }
};

// tests/support/faulty_server.py, which says what it does.
class FaultyServer : public Server {
 public:
  explicit FaultyServer(const std::filesystem::path& root) {
    command_ = std::string("/usr/bin/python3 '") + CAVMAE_SOURCE_DIR + "/tests/support/faulty_server.py' " +
               std::to_string(port_) + " '" + root.string() + "' 2>/dev/null";
    start();
  }
};

// s3rver with one bucket, "clips", whose key and secret are S3RVER.
class UncheckedObjectStore : public Server {
 public:
  UncheckedObjectStore() {
    command_ = "node '" + object_store_program().string() + "' -d '" + (folder_ / "objects").string() +
               "' -a 127.0.0.1 -p " + std::to_string(port_) + " -s --configure-bucket clips >/dev/null 2>&1";
    start();
  }
};

// The same behind what checks signatures, tests/support/signature.py.
class ObjectStore : public Server {
 public:
  ObjectStore() {
    command_ =
        script() + " check " + std::to_string(port_) + " " + std::to_string(store_.port()) + " 2>/dev/null";
    start();
  }
  void put(const std::string& key, const std::filesystem::path& file) const {
    const Outcome outcome =
        run_shell(script() + " put " + url() + " clips '" + key + "' '" + file.string() + "'");
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  }

 private:
  static std::string script() {
    return std::string("/usr/bin/python3 '") + CAVMAE_SOURCE_DIR + "/tests/support/signature.py'";
  }
  UncheckedObjectStore store_;
};

// Variables of the environment for the length of a test.
class Environment {
 public:
  explicit Environment(std::initializer_list<std::pair<const char*, std::string>> values) {
    for (const auto& [name, value] : values) {
      const char* before = std::getenv(name);
      before_.emplace_back(name, before == nullptr ? "" : before);
      ::setenv(name, value.c_str(), 1);
    }
  }
  ~Environment() {
    for (const auto& [name, value] : before_)
      value.empty() ? ::unsetenv(name) : ::setenv(name, value.c_str(), 1);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  std::vector<std::pair<const char*, std::string>> before_;
};

inline Environment object_store_keys(const Server& store, const std::string& secret = "S3RVER") {
  return Environment{{"AWS_ENDPOINT_URL", store.url()},
                     {"AWS_ACCESS_KEY_ID", "S3RVER"},
                     {"AWS_SECRET_ACCESS_KEY", secret},
                     {"AWS_SESSION_TOKEN", ""},
                     {"AWS_REGION", "us-east-1"}};
}

}  // namespace cavmae::testing_support
