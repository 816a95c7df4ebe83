#include "apps/retrieval_table.h"

#include <algorithm>

#include <fmt/format.h>

namespace cavmae::apps {
namespace {

void print_row(const char* name, const RetrievalScores& s) {
  fmt::print("{:<16}{:>8.1f} %{:>8.1f} %{:>8.1f} %{:>13.1f}\n", name, 100 * s.r1, 100 * s.r5, 100 * s.r10,
             s.median_rank);
}

}  // namespace

void print_retrieval(const RetrievalResult& r) {
  fmt::print("{:<16}{:>10}{:>10}{:>10}{:>13}\n", "", "R@1", "R@5", "R@10", "median rank");
  print_row("audio -> video", r.audio_to_video);
  print_row("video -> audio", r.video_to_audio);
  const auto n = static_cast<double>(r.clips);
  const RetrievalScores chance{
      .r1 = 1 / n, .r5 = std::min(1.0, 5 / n), .r10 = std::min(1.0, 10 / n), .median_rank = (n + 1) / 2};
  print_row("chance", chance);
  fmt::print("{} clips\n", r.clips);
}

}  // namespace cavmae::apps
