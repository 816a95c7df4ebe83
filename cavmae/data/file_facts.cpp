#include "cavmae/data/file_facts.h"

#include <vector>

namespace cavmae {
namespace {

constexpr int64_t kFixed = 14;  // numbers before the pieces and keyframes

}  // namespace

torch::Tensor facts_to_record(const FileFacts& facts) {
  const MediaTimes& t = facts.times;
  std::vector<double> values = {double(facts.has_audio), double(facts.has_video),   double(facts.is_picture),
                                t.end_seconds(),         t.audio.start_seconds,     t.audio.end_seconds,
                                t.video.start_seconds,   t.video.end_seconds,       t.origin_seconds,
                                double(t.measured),      double(t.one_picture),     double(t.cut_off),
                                double(t.pieces.size()), double(t.keyframes.size())};
  for (const ClockPiece& piece : t.pieces)
    values.insert(values.end(), {double(piece.position_bytes), piece.offset_seconds});
  for (const SeekPoint& point : t.keyframes)
    values.insert(values.end(), {double(point.position_bytes), point.seconds});
  return torch::tensor(values, torch::kFloat64).unsqueeze(0);
}

std::optional<FileFacts> facts_from_record(const torch::Tensor& record) {
  if (record.scalar_type() != torch::kFloat64 || record.dim() != 1 || record.size(0) < kFixed)
    return std::nullopt;
  const double* v = record.data_ptr<double>();
  const double most = static_cast<double>(record.size(0));
  if (!(v[12] >= 0 && v[12] <= most && v[13] >= 0 && v[13] <= most)) return std::nullopt;
  const auto num_pieces = static_cast<int64_t>(v[12]), num_keyframes = static_cast<int64_t>(v[13]);
  if (record.size(0) != kFixed + 2 * (num_pieces + num_keyframes)) return std::nullopt;
  FileFacts facts{.has_audio = v[0] != 0, .has_video = v[1] != 0, .is_picture = v[2] != 0};
  MediaTimes& t = facts.times;
  t.audio = {.start_seconds = v[4], .end_seconds = v[5]};
  t.video = {.start_seconds = v[6], .end_seconds = v[7]};
  t.origin_seconds = v[8];
  t.measured = v[9] != 0;
  t.one_picture = v[10] != 0;
  t.cut_off = v[11] != 0;
  const double* at = v + kFixed;
  for (int64_t i = 0; i < num_pieces; ++i, at += 2)
    t.pieces.push_back({.position_bytes = static_cast<int64_t>(at[0]), .offset_seconds = at[1]});
  for (int64_t i = 0; i < num_keyframes; ++i, at += 2)
    t.keyframes.push_back({.position_bytes = static_cast<int64_t>(at[0]), .seconds = at[1]});
  return facts;
}

}  // namespace cavmae
