// Product quantization: which of 256 codes is nearest to each part of many rows. Free functions on plain
// arrays; safe from several threads.
#pragma once

#include <cstdint>
#include <vector>

#include "cavmae/isa/kernel_table.h"

namespace cavmae::kernels {

constexpr int64_t kCodes = 256;

// Rows of parts * width numbers, each part with codes of its own.
struct CodeBooks {
  const float* by_number = nullptr;     // [parts, width, kCodes]: number by number
  const float* half_squares = nullptr;  // [parts, kCodes]: half of each code's squared length
  int64_t parts = 0, width = 0;
};

// codes: [num_rows, parts]. The code c with the smallest |c|^2 / 2 - x . c, which is the nearest; the first
// of equals. Sums of different versions differ in rounding, and so may codes that are nearly as near.
struct CodeAssignment {
  void (*assign)(const CodeBooks& books, const float* rows, int64_t num_rows, uint8_t* codes);
};

const CodeAssignment& code_assignment();

using CodeAssignmentVersion = KernelVersion<CodeAssignment>;
std::vector<const CodeAssignmentVersion*> usable_code_assignments();
const CodeAssignmentVersion& best_code_assignment();

}  // namespace cavmae::kernels
