#include "cavmae/kernels/code_assignment.h"

#include <algorithm>
#include <array>

#include "cavmae/kernels/versions.h"

namespace cavmae::kernels {
namespace {

void assign(const CodeBooks& books, const float* rows, int64_t num_rows, uint8_t* codes) {
  for (int64_t part = 0; part < books.parts; ++part) {
    const float* book = books.by_number + part * books.width * kCodes;
    const float* half_squares = books.half_squares + part * kCodes;
    for (int64_t r = 0; r < num_rows; ++r) {
      const float* x = rows + (r * books.parts + part) * books.width;
      std::array<float, kCodes> distance;
      std::copy_n(half_squares, kCodes, distance.begin());
      for (int64_t i = 0; i < books.width; ++i)
        for (size_t c = 0; c < kCodes; ++c) distance[c] -= x[i] * book[static_cast<size_t>(i) * kCodes + c];
      codes[r * books.parts + part] =
          static_cast<uint8_t>(std::ranges::min_element(distance) - distance.begin());
    }
  }
}

const std::vector<CodeAssignmentVersion>& versions_of_assignment() {
  static const std::vector<CodeAssignmentVersion> all = {
      {"baseline", Isa::baseline, code_assignment_baseline()},
#ifdef CAVMAE_X86_KERNELS
      {"avx2", Isa::avx2, code_assignment_avx2()},
#endif
  };
  return all;
}

}  // namespace

CodeAssignment code_assignment_baseline() {
  return {.assign = assign};
}

std::vector<const CodeAssignmentVersion*> usable_code_assignments() {
  return usable_versions(versions_of_assignment());
}

const CodeAssignmentVersion& best_code_assignment() {
  return *best_version(versions_of_assignment());
}

const CodeAssignment& code_assignment() {
  static const CodeAssignment& best = best_code_assignment().functions;
  return best;
}

}  // namespace cavmae::kernels
