// Product quantization for AVX2 and FMA. Run only where usable_isa() allows them.
#include <cstdint>

#include "cavmae/isa/isa.h"
#include "cavmae/kernels/code_assignment.h"
#include "cavmae/kernels/versions.h"

#ifdef CAVMAE_X86_KERNELS
#include <immintrin.h>
// After every other header: their inline functions stay fit for any processor.
#pragma GCC target("avx2,fma,f16c")

namespace cavmae::kernels {
namespace {

constexpr int64_t kCodeLanes = 8;

// The first of the smallest.
inline uint8_t place_of_smallest(__m256 smallest, __m256i place) {
  float distances[kCodeLanes];
  int32_t places[kCodeLanes];
  _mm256_storeu_ps(distances, smallest);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(places), place);
  int64_t best = 0;
  for (int64_t lane = 1; lane < kCodeLanes; ++lane)
    if (distances[lane] < distances[best] ||
        (distances[lane] == distances[best] && places[lane] < places[best]))
      best = lane;
  return static_cast<uint8_t>(places[best]);
}

// Part by part, whose codes stay in the first cache: each lane has the smallest distance of every eighth
// code.
void assign_avx2(const CodeBooks& books, const float* rows, int64_t num_rows, uint8_t* codes) {
  const __m256i first = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), next = _mm256_set1_epi32(kCodeLanes);
  for (int64_t part = 0; part < books.parts; ++part) {
    const float* book = books.by_number + part * books.width * kCodes;
    const float* half_squares = books.half_squares + part * kCodes;
    for (int64_t r = 0; r < num_rows; ++r) {
      const float* x = rows + (r * books.parts + part) * books.width;
      __m256 smallest = _mm256_loadu_ps(half_squares);
      for (int64_t i = 0; i < books.width; ++i)
        smallest = _mm256_fnmadd_ps(_mm256_set1_ps(x[i]), _mm256_loadu_ps(book + i * kCodes), smallest);
      __m256i place = first, here = first;
      for (int64_t c = kCodeLanes; c < kCodes; c += kCodeLanes) {
        here = _mm256_add_epi32(here, next);
        __m256 distance = _mm256_loadu_ps(half_squares + c);
        for (int64_t i = 0; i < books.width; ++i)
          distance = _mm256_fnmadd_ps(_mm256_set1_ps(x[i]), _mm256_loadu_ps(book + i * kCodes + c), distance);
        const __m256 is_less = _mm256_cmp_ps(distance, smallest, _CMP_LT_OQ);
        smallest = _mm256_blendv_ps(smallest, distance, is_less);
        place = _mm256_blendv_epi8(place, here, _mm256_castps_si256(is_less));
      }
      codes[r * books.parts + part] = place_of_smallest(smallest, place);
    }
  }
}

}  // namespace

CodeAssignment code_assignment_avx2() {
  return {.assign = assign_avx2};
}

}  // namespace cavmae::kernels
#endif
