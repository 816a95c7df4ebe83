#include "cavmae/train/metrics_log.h"

#include <chrono>

#include "cavmae/train/append_file.h"
#include "cavmae/train/event_file.h"

namespace cavmae {
namespace {

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

MetricsLog::MetricsLog(const std::filesystem::path& run, const MetricsPosition& position, Log& log) {
  const double now = wall_time();
  const std::string events = position.events_file.empty() ? event_file_name(now) : position.events_file;
  metrics_ = std::make_unique<AppendFile>(run / "metrics.jsonl", position.metrics_bytes);
  events_ = std::make_unique<AppendFile>(run / events, position.events_bytes);
  for (const auto& [file, expected] :
       {std::pair{metrics_.get(), position.metrics_bytes}, std::pair{events_.get(), position.events_bytes}}) {
    if (file->size() < expected)
      log.warn("{}: holds {} bytes where the checkpoint saw {}: records of earlier steps are missing",
               file->path().string(), file->size(), expected);
  }
  if (events_->size() == 0) events_->append(encode_file_version(now));
}

MetricsLog::~MetricsLog() = default;

void MetricsLog::write(const Json& record) {
  metrics_->append(record.dump() + "\n");
  ScalarEvent event{.wall_time = wall_time(), .step = record.at("step").get<int64_t>(), .scalars = {}};
  const auto kind = record.at("kind").get<std::string>();
  for (const auto& [name, value] : record.items())
    if (value.is_number() && name != "step")
      event.scalars.emplace_back(kind + "/" + name, value.get<double>());
  events_->append(encode_event(event));
}

MetricsPosition MetricsLog::position() {
  metrics_->sync();
  events_->sync();
  return {.metrics_bytes = metrics_->size(),
          .events_bytes = events_->size(),
          .events_file = events_->path().filename().string()};
}

}  // namespace cavmae
