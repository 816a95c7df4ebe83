#include "apps/retrieval_table.h"

#include <fmt/format.h>

#include "cavmae/metrics/metric.h"

namespace cavmae::apps {
namespace {

constexpr int kColumnWidth = 13;

void print_row(const std::string& name, const RetrievalScores& scores) {
  fmt::print("{:<16}", name);
  for (const Metric& metric : retrieval_metrics())
    fmt::print("{:>{}}", metric_text(metric, scores.at(metric.key)), kColumnWidth);
  fmt::print("\n");
}

}  // namespace

void print_retrieval(const RetrievalResult& r) {
  fmt::print("{:<16}", "");
  for (const Metric& metric : retrieval_metrics()) fmt::print("{:>{}}", metric.title, kColumnWidth);
  fmt::print("\n");
  print_row("audio -> video", r.audio_to_video);
  print_row("video -> audio", r.video_to_audio);
  print_row("chance", chance_scores(r));
  fmt::print("{} clips\n", r.clips);
}

}  // namespace cavmae::apps
