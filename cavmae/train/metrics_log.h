// What a run measures, written twice: metrics.jsonl (a JSON object a line) and a TensorBoard event file. A
// run that is resumed cuts both back to where its checkpoint saw them. One owner.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "cavmae/core/json.h"
#include "cavmae/core/log.h"

namespace cavmae {

class AppendFile;

// How far the files had come when a checkpoint was written.
struct MetricsPosition {
  int64_t metrics_bytes = 0;
  int64_t events_bytes = 0;
  std::string events_file;  // name in the run's folder

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("metrics_bytes", o.metrics_bytes, "size of metrics.jsonl");
    v("events_bytes", o.events_bytes, "size of the TensorBoard event file");
    v("events_file", o.events_file, "name of the TensorBoard event file");
  }
};

class MetricsLog {
 public:
  // Goes on behind `position`; the default begins anew. A file that is shorter than that is reported to `log`
  // and appended to.
  MetricsLog(const std::filesystem::path& run, const MetricsPosition& position, Log& log);
  ~MetricsLog();

  // `record` holds "kind" ("train", "validation"), "step" and numbers; the latter become TensorBoard's
  // scalars KIND/NAME. Throws Error on a full disk.
  void write(const Json& record);

  // Flushes both files to the disk and returns where they end.
  MetricsPosition position();

 private:
  std::unique_ptr<AppendFile> metrics_, events_;
};

}  // namespace cavmae
