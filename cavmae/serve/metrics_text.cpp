#include "cavmae/serve/metrics_text.h"

#include <fmt/format.h>

namespace cavmae {

void ServerMetrics::count(const std::string& route, int status, double seconds) {
  const std::lock_guard lock(mutex_);
  ++requests_[{route, status}];
  Latency& latency = latencies_[route];
  for (size_t i = 0; i < kBounds.size(); ++i)
    if (seconds <= kBounds[i]) {
      ++latency.at_most[i];
      break;
    }
  ++latency.count;
  latency.seconds += seconds;
}

std::string ServerMetrics::text() const {
  const std::lock_guard lock(mutex_);
  std::string out =
      "# HELP cavmae_requests_total Requests that were answered.\n# TYPE cavmae_requests_total counter\n";
  for (const auto& [key, count] : requests_)
    out +=
        fmt::format("cavmae_requests_total{{route=\"{}\",status=\"{}\"}} {}\n", key.first, key.second, count);
  out += "# HELP cavmae_request_seconds How long answers took.\n# TYPE cavmae_request_seconds histogram\n";
  for (const auto& [route, latency] : latencies_) {
    int64_t sum = 0;
    for (size_t i = 0; i < kBounds.size(); ++i) {
      sum += latency.at_most[i];
      out +=
          fmt::format("cavmae_request_seconds_bucket{{route=\"{}\",le=\"{}\"}} {}\n", route, kBounds[i], sum);
    }
    out += fmt::format(
        "cavmae_request_seconds_bucket{{route=\"{0}\",le=\"+Inf\"}} {1}\n"
        "cavmae_request_seconds_sum{{route=\"{0}\"}} {2:.6f}\n"
        "cavmae_request_seconds_count{{route=\"{0}\"}} {1}\n",
        route, latency.count, latency.seconds);
  }
  return out;
}

std::string metric_text(const std::string& name, const std::string& kind, const std::string& help,
                        double value) {
  return fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3}\n", name, help, kind, value);
}

}  // namespace cavmae
