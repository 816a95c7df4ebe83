// What the server counts, as Prometheus reads it. Safe from several threads.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace cavmae {

class ServerMetrics {
 public:
  // `route`: the pattern, never a path that a client chose.
  void count(const std::string& route, int status, double seconds);
  // The requests, in the text format of Prometheus.
  std::string text() const;

 private:
  static constexpr std::array<double, 10> kBounds = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10};
  struct Latency {
    std::array<int64_t, kBounds.size()> at_most{};  // not added up
    int64_t count = 0;
    double seconds = 0;
  };
  mutable std::mutex mutex_;  // of what follows
  std::map<std::pair<std::string, int>, int64_t> requests_;
  std::map<std::string, Latency> latencies_;
};

// "# HELP ...\n# TYPE ...\nname value\n". kind: "counter" or "gauge"
std::string metric_text(const std::string& name, const std::string& kind, const std::string& help,
                        double value);

}  // namespace cavmae
