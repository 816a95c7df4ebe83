#include "cavmae/search/segment.h"

#include <string_view>

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

bool is_side(std::string_view name) {
  return name == "audio" || name == "video";
}

}  // namespace

MomentRows read_tail(Catalog& catalog, int64_t embed_dim, torch::ScalarType type) {
  MomentRows rows = empty_rows(catalog.tail_size(), embed_dim, type);
  int64_t row = 0;
  bool has_audio = false, has_video = false;
  catalog.for_each_in_tail([&](const StoredMoment& at) {
    set_row(rows, row++, at);
    has_audio |= !at.audio.empty();
    has_video |= !at.video.empty();
  });
  if (!has_audio) rows.audio = all_lacking(row, embed_dim, type);
  if (!has_video) rows.video = all_lacking(row, embed_dim, type);
  return rows;
}

fs::path segment_file(const fs::path& generation, int64_t segment) {
  return generation / "segments" / fmt::format("{:06}.safetensors", segment);
}

std::string write_segment(const fs::path& file, const MomentRows& rows) {
  NamedTensors tensors;
  for_each_tensor(rows, [&](const char* name, const torch::Tensor& tensor) {
    if (!is_side(name) || !is_all_lacking(tensor)) tensors.emplace_back(name, tensor);
  });
  write_safetensors(file, tensors, {{"format", "cavmae library segment"}});
  return content_hash_of_file(file);
}

MomentRows map_segment(const fs::path& file, int64_t num_rows, int64_t embed_dim, torch::ScalarType type) {
  MomentRows rows;
  try {
    const TensorFile mapped = map_safetensors(file);
    for_each_tensor(rows, [&](const char* name, torch::Tensor& tensor) {
      const bool is_lacking = is_side(name) && mapped.find(name) == nullptr;
      tensor = is_lacking ? all_lacking(num_rows, embed_dim, type) : mapped.at(name);
    });
  } catch (const CheckpointError& e) {
    throw DataError(concat(e.what(), kCure));
  }
  for_each_tensor(rows, [&](const char* name, const torch::Tensor& tensor) {
    const bool fits =
        is_side(name)
            ? tensor.sizes() == torch::IntArrayRef({num_rows, embed_dim}) && tensor.scalar_type() == type
            : tensor.sizes() == torch::IntArrayRef({num_rows}) && tensor.scalar_type() == torch::kInt64;
    CAVMAE_CHECK_AS(DataError, fits, file.string(), ": '", name, "' is ", tensor.sizes(), ", where ",
                    num_rows, " moments are expected", kCure);
  });
  return rows;
}

}  // namespace cavmae
