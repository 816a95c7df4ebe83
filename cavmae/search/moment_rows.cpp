#include "cavmae/search/moment_rows.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

// The bytes of a vector into a row, NaN where there are none.
void copy_vector(const std::string& bytes, const torch::Tensor& row) {
  if (bytes.empty()) {
    row.fill_(std::numeric_limits<float>::quiet_NaN());
    return;
  }
  CAVMAE_CHECK_AS(DataError, bytes.size() == row.nbytes(), "a vector of ", bytes.size(),
                  " bytes in the library, where ", row.nbytes(), " are expected; make it anew by --rebuild");
  std::memcpy(row.data_ptr(), bytes.data(), bytes.size());
}

}  // namespace

const torch::Tensor& vectors_of(const MomentRows& rows, ClipSide side) {
  CAVMAE_CHECK(side != ClipSide::both, "vectors_of: of one side");
  return side == ClipSide::audio ? rows.audio : rows.video;
}

torch::Tensor all_lacking(int64_t size, int64_t embed_dim, torch::ScalarType type) {
  return torch::full({1, 1}, std::numeric_limits<float>::quiet_NaN(), type).expand({size, embed_dim});
}

bool is_all_lacking(const torch::Tensor& vectors) {
  return vectors.stride(0) == 0 && vectors.stride(1) == 0;
}

MomentRows select_rows(const MomentRows& rows, const torch::Tensor& positions) {
  const auto select_side = [&](const torch::Tensor& vectors) {
    return is_all_lacking(vectors) ? all_lacking(positions.size(0), vectors.size(1), vectors.scalar_type())
                                   : vectors.index_select(0, positions);
  };
  MomentRows out;
  out.audio = select_side(rows.audio);
  out.video = select_side(rows.video);
  out.moment = rows.moment.index_select(0, positions);
  out.file = rows.file.index_select(0, positions);
  out.start_ms = rows.start_ms.index_select(0, positions);
  out.end_ms = rows.end_ms.index_select(0, positions);
  return out;
}

MomentRows join_rows(const std::vector<MomentRows>& parts) {
  std::vector<torch::Tensor> audio, video, moment, file, start_ms, end_ms;
  for (const MomentRows& part : parts) {
    audio.push_back(part.audio);
    video.push_back(part.video);
    moment.push_back(part.moment);
    file.push_back(part.file);
    start_ms.push_back(part.start_ms);
    end_ms.push_back(part.end_ms);
  }
  const torch::Tensor moments = torch::cat(moment);
  const auto join_side = [&](const std::vector<torch::Tensor>& vectors) {
    return std::ranges::all_of(vectors, is_all_lacking)
               ? all_lacking(moments.size(0), vectors[0].size(1), vectors[0].scalar_type())
               : torch::cat(vectors);
  };
  return {.audio = join_side(audio),
          .video = join_side(video),
          .moment = moments,
          .file = torch::cat(file),
          .start_ms = torch::cat(start_ms),
          .end_ms = torch::cat(end_ms)};
}

MomentRows empty_rows(int64_t size, int64_t embed_dim, torch::ScalarType type) {
  return {.audio = torch::empty({size, embed_dim}, type),
          .video = torch::empty({size, embed_dim}, type),
          .moment = torch::empty({size}, torch::kInt64),
          .file = torch::empty({size}, torch::kInt64),
          .start_ms = torch::empty({size}, torch::kInt64),
          .end_ms = torch::empty({size}, torch::kInt64)};
}

void set_row(MomentRows& rows, int64_t row, const StoredMoment& at) {
  copy_vector(at.audio, rows.audio[row]);
  copy_vector(at.video, rows.video[row]);
  rows.moment.data_ptr<int64_t>()[row] = at.moment.id;
  rows.file.data_ptr<int64_t>()[row] = at.moment.file;
  rows.start_ms.data_ptr<int64_t>()[row] = at.moment.start_ms;
  rows.end_ms.data_ptr<int64_t>()[row] = at.moment.end_ms;
}

Moment moment_at(const MomentRows& rows, int64_t row) {
  const auto number = [row](const torch::Tensor& column) { return column.data_ptr<int64_t>()[row]; };
  return {.id = number(rows.moment),
          .file = number(rows.file),
          .start_ms = number(rows.start_ms),
          .end_ms = number(rows.end_ms)};
}

std::string vector_bytes(const torch::Tensor& vector, torch::ScalarType type) {
  if (!vector.defined()) return {};
  const torch::Tensor stored = vector.to(type).contiguous();
  return {static_cast<const char*>(stored.data_ptr()), static_cast<size_t>(stored.nbytes())};
}

}  // namespace cavmae
