#include "cavmae/search/segment.h"

#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "cavmae/core/error.h"
#include "cavmae/search/content_hash.h"
#include "cavmae/tensorfile/safetensors.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

constexpr const char* kCure = "; cavmae index LIBRARY --check mends it";

template <class Rows, class Visit>
void for_each_tensor(Rows& rows, const Visit& visit) {
  visit("audio", rows.audio);
  visit("video", rows.video);
  visit("moment", rows.moment);
  visit("file", rows.file);
  visit("start_ms", rows.start_ms);
  visit("end_ms", rows.end_ms);
}

// The bytes of a vector into a row, NaN where there are none.
void copy_vector(const std::string& bytes, const torch::Tensor& row) {
  if (bytes.empty()) {
    row.fill_(std::numeric_limits<float>::quiet_NaN());
    return;
  }
  CAVMAE_CHECK_AS(DataError, bytes.size() == row.nbytes(), "a vector of ", bytes.size(),
                  " bytes in the library's tail, where ", row.nbytes(),
                  " are expected; make it anew by --rebuild");
  std::memcpy(row.data_ptr(), bytes.data(), bytes.size());
}

}  // namespace

const torch::Tensor& vectors_of(const MomentRows& rows, ClipSide side) {
  CAVMAE_CHECK(side != ClipSide::both, "vectors_of: of one side");
  return side == ClipSide::audio ? rows.audio : rows.video;
}

MomentRows select_rows(const MomentRows& rows, const torch::Tensor& positions) {
  MomentRows out;
  out.audio = rows.audio.index_select(0, positions);
  out.video = rows.video.index_select(0, positions);
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
  return {.audio = torch::cat(audio),
          .video = torch::cat(video),
          .moment = torch::cat(moment),
          .file = torch::cat(file),
          .start_ms = torch::cat(start_ms),
          .end_ms = torch::cat(end_ms)};
}

MomentRows read_tail(Catalog& catalog, int64_t embed_dim, torch::ScalarType type) {
  const int64_t size = catalog.tail_size();
  MomentRows rows{.audio = torch::empty({size, embed_dim}, type),
                  .video = torch::empty({size, embed_dim}, type),
                  .moment = torch::empty({size}, torch::kInt64),
                  .file = torch::empty({size}, torch::kInt64),
                  .start_ms = torch::empty({size}, torch::kInt64),
                  .end_ms = torch::empty({size}, torch::kInt64)};
  int64_t row = 0;
  catalog.for_each_in_tail([&](const TailMoment& at) {
    copy_vector(at.audio, rows.audio[row]);
    copy_vector(at.video, rows.video[row]);
    rows.moment.data_ptr<int64_t>()[row] = at.moment.id;
    rows.file.data_ptr<int64_t>()[row] = at.moment.file;
    rows.start_ms.data_ptr<int64_t>()[row] = at.moment.start_ms;
    rows.end_ms.data_ptr<int64_t>()[row] = at.moment.end_ms;
    ++row;
  });
  return rows;
}

fs::path segment_file(const fs::path& generation, int64_t segment) {
  return generation / "segments" / fmt::format("{:06}.safetensors", segment);
}

std::string write_segment(const fs::path& file, const MomentRows& rows) {
  NamedTensors tensors;
  for_each_tensor(rows,
                  [&](const char* name, const torch::Tensor& tensor) { tensors.emplace_back(name, tensor); });
  write_safetensors(file, tensors, {{"format", "cavmae library segment"}});
  return content_hash_of_file(file);
}

MomentRows map_segment(const fs::path& file, int64_t num_rows, int64_t embed_dim, torch::ScalarType type) {
  MomentRows rows;
  try {
    const TensorFile mapped = map_safetensors(file);
    for_each_tensor(rows, [&](const char* name, torch::Tensor& tensor) { tensor = mapped.at(name); });
  } catch (const CheckpointError& e) {
    throw DataError(concat(e.what(), kCure));
  }
  for_each_tensor(rows, [&](const char* name, const torch::Tensor& tensor) {
    const bool is_matrix = &tensor == &rows.audio || &tensor == &rows.video;
    const bool fits =
        is_matrix
            ? tensor.sizes() == torch::IntArrayRef({num_rows, embed_dim}) && tensor.scalar_type() == type
            : tensor.sizes() == torch::IntArrayRef({num_rows}) && tensor.scalar_type() == torch::kInt64;
    CAVMAE_CHECK_AS(DataError, fits, file.string(), ": '", name, "' is ", tensor.sizes(), ", where ",
                    num_rows, " moments are expected", kCure);
  });
  return rows;
}

std::string vector_bytes(const torch::Tensor& vector, torch::ScalarType type) {
  if (!vector.defined()) return {};
  const torch::Tensor stored = vector.to(type).contiguous();
  return {static_cast<const char*>(stored.data_ptr()), static_cast<size_t>(stored.nbytes())};
}

}  // namespace cavmae
