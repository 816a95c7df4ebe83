// Packs float weights as the bf16 factor of a product that takes neighbours of the summed dimension in pairs
// (oneDNN's layouts BA16aNb2a), at the speed of memory: several times that of oneDNN's own conversion.
#pragma once

#include <cstdint>
#include <optional>

#include "cavmae/core/file_stream.h"
#include "cavmae/kernels/types.h"

namespace cavmae::kernels {

// The factor B [K, N] that a weight W [rows, columns] becomes.
enum class PackedFactor {
  transposed,      // W^T: K = columns, N = rows; of y = x W^T
  not_transposed,  // W: K = rows, N = columns; of dx = g W
};

inline constexpr int64_t kPackedBlockRows = 32;

// B is cut into blocks of 32 x block_columns, zeros past its edges. Blocks follow each other down a column of
// blocks first; inside one, value (k, n) is number (k / 2 * block_columns + n) * 2 + k % 2.
struct WeightPacking {
  const float* weight = nullptr;  // [rows, columns], dense
  int64_t rows = 0, columns = 0;
  PackedFactor factor = PackedFactor::transposed;
  int64_t block_columns = 0;  // a multiple of 16
  Bf16* packed = nullptr;     // aligned to 64 bytes
  // Where the same values can be read. A transposed factor is packed from there and does not touch `weight`
  // (Note [Values in a file], tensorfile/mapped_tensor.h).
  std::optional<PlaceInFile> in_file = std::nullopt;
};

// The version that is taken.
const char* weight_packing_in_use();
// Rounds to the nearest, ties to even. Works with LibTorch's threads. Throws CheckpointError where `in_file`
// cannot be read.
void pack_weight(const WeightPacking& packing);

}  // namespace cavmae::kernels
