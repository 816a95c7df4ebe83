#include "cavmae/models/finite_values.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "cavmae/core/parallel.h"
#include "cavmae/tensorfile/mapped_tensor.h"

namespace cavmae {
namespace {

constexpr int64_t kPieceValues = int64_t{1} << 16;  // a quarter of a megabyte, which a core's cache holds

struct Piece {
  size_t parameter = 0;
  int64_t first = 0, count = 0;  // of its values
};

uint32_t is_bad(float value) {
  constexpr uint32_t kExponent = 0x7f800000u;  // whose bits are all ones in NaN and infinity
  return (std::bit_cast<uint32_t>(value) & kExponent) == kExponent ? 1 : 0;
}

bool all_finite(const float* values, int64_t count) {
  constexpr int64_t kLanes = 16;
  std::array<uint32_t, kLanes> found{};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int64_t lane = 0; lane < kLanes; ++lane)
      found[static_cast<size_t>(lane)] |= is_bad(values[i + lane]);
  for (; i < count; ++i) found[0] |= is_bad(values[i]);
  return std::ranges::all_of(found, [](uint32_t bad) { return bad == 0; });
}

bool all_finite(const torch::Tensor& values) {
  return std::isfinite(values.sum().item<double>());
}

}  // namespace

std::optional<std::string> first_not_finite(const torch::nn::Module& network) {
  const torch::NoGradGuard no_grad;
  const auto parameters = network.named_parameters().items();
  std::vector<std::optional<PlaceInFile>> in_file;
  std::vector<Piece> pieces;
  std::atomic<size_t> first_bad = parameters.size();
  for (size_t i = 0; i < parameters.size(); ++i) {
    const torch::Tensor& parameter = parameters[i].value();
    in_file.push_back(place_in_file(parameter));
    if (parameter.scalar_type() != torch::kFloat32 || !parameter.is_cpu() || !parameter.is_contiguous()) {
      if (!all_finite(parameter)) first_bad = std::min(first_bad.load(), i);
      continue;
    }
    for (int64_t first = 0; first < parameter.numel(); first += kPieceValues)
      pieces.push_back(
          {.parameter = i, .first = first, .count = std::min(kPieceValues, parameter.numel() - first)});
  }
  std::atomic<size_t> next = 0;
  const auto look = [&](int64_t, int64_t) {
    std::vector<float> room;
    for (size_t at = next++; at < pieces.size(); at = next++) {
      const Piece& piece = pieces[at];
      const float* values = nullptr;
      if (const auto& part = in_file[piece.parameter]) {
        room.resize(kPieceValues);
        part->file->read(part->position + sizeof(float) * static_cast<uint64_t>(piece.first), room.data(),
                         sizeof(float) * static_cast<uint64_t>(piece.count));
        values = room.data();
      } else {
        values = parameters[piece.parameter].value().data_ptr<float>() + piece.first;
      }
      if (all_finite(values, piece.count)) continue;
      size_t known = first_bad;
      while (piece.parameter < known && !first_bad.compare_exchange_weak(known, piece.parameter)) {
      }
    }
  };
  // A thread is left to whoever reads clips meanwhile, and the others take what comes next.
  at::parallel_for(0, std::max(1, at::get_num_threads() - 1), 1, look);
  if (first_bad == parameters.size()) return std::nullopt;
  return parameters[first_bad].key();
}

}  // namespace cavmae
