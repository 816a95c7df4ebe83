#include "apps/library_text.h"

#include <fmt/format.h>

#include "cavmae/core/utf8.h"

namespace cavmae::apps {
namespace {

std::string line_of(const MomentHit& hit) {
  const auto word = [](ClipSide side) { return side == ClipSide::audio ? "sound" : "pictures"; };
  return fmt::format("{:>5.2f}  {:>10.4f}  {:>11} - {:<11}  {} by {}", hit.score, hit.similarity,
                     moment_time(hit.moment.start_ms), moment_time(hit.moment.end_ms), word(hit.found),
                     word(hit.query));
}

}  // namespace

std::string moment_time(int64_t milliseconds) {
  const int64_t tenths = (milliseconds + 50) / 100, seconds = tenths / 10;
  const int64_t hours = seconds / 3600, minutes = seconds / 60 % 60;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}.{}", hours, minutes, seconds % 60, tenths % 10);
  return fmt::format("{}:{:02}.{}", minutes, seconds % 60, tenths % 10);
}

void print_hits(const std::vector<FileHit>& hits) {
  if (hits.empty()) {
    fmt::print("nothing was found\n");
    return;
  }
  fmt::print("       score  similarity  moment\n");
  int number = 0;
  for (const FileHit& hit : hits) {
    fmt::print("{:>4}.  {}\n", ++number, escape_invalid_utf8(hit.file.path));
    for (const MomentHit& moment : hit.moments) fmt::print("       {}\n", line_of(moment));
  }
}

Json to_json(const std::vector<FileHit>& hits) {
  Json out = Json::array();
  for (const FileHit& hit : hits) {
    Json moments = Json::array();
    for (const MomentHit& moment : hit.moments) moments.push_back(to_json(moment));
    Json file = {{"file", hit.file.id}, {"path", hit.file.path}};
    if (!hit.file.audio_path.empty()) file["audio_path"] = hit.file.audio_path;
    file["moments"] = std::move(moments);
    out.push_back(std::move(file));
  }
  return out;
}

}  // namespace cavmae::apps
