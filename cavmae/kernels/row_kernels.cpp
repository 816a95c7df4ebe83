#include "cavmae/kernels/row_kernels.h"

#include <algorithm>
#include <array>
#include <vector>

#include "cavmae/core/parallel.h"
#include "cavmae/kernels/versions.h"

namespace cavmae::kernels {
namespace {

constexpr RowKernelVersion kRowKernelVersions[] = {
    {"baseline", Isa::baseline, row_kernels_baseline},
#ifdef CAVMAE_X86_KERNELS
    {"avx2", Isa::avx2, row_kernels_avx2},
    {"avx512", Isa::avx512, row_kernels_avx512},
    {"avx512_bf16", Isa::avx512_bf16, row_kernels_avx512_bf16},
#endif
};

constexpr int64_t kPieceRows = 64;      // rows whose sums are made by one thread
constexpr int64_t kPieceValues = 8192;  // values that are worth a thread's while

int64_t rows_worth_a_thread(int64_t width) {
  return std::max<int64_t>(1, kPieceValues / std::max<int64_t>(width, 1));
}

struct ColumnSums {
  float* target = nullptr;  // [width]; null: not wanted
  Accumulate accumulate = Accumulate::no;
};

// Sums of columns over pieces of rows: each piece is summed on its own, then the pieces in order.
template <size_t count>
class PieceSums {
 public:
  PieceSums(int64_t rows, int64_t width, const std::array<ColumnSums, count>& sums)
      : rows_(rows),
        width_(width),
        num_pieces_((rows + kPieceRows - 1) / kPieceRows),
        sums_(sums),
        pieces_(static_cast<size_t>(num_pieces_ * width) * count, 0.0f) {}

  // Calls work(begin, end, arrays to add to).
  template <class Work>
  void run(const Work& work) {
    at::parallel_for(0, num_pieces_, 1, [&](int64_t first, int64_t last) {
      for (int64_t piece = first; piece < last; ++piece) {
        std::array<float*, count> own{};
        for (size_t i = 0; i < count; ++i)
          if (sums_[i].target != nullptr) own[i] = at(piece, i);
        work(piece * kPieceRows, std::min(rows_, (piece + 1) * kPieceRows), own);
      }
    });
    at::parallel_for(0, width_, 256, [&](int64_t begin, int64_t end) {
      for (size_t i = 0; i < count; ++i) finish(i, begin, end);
    });
  }

 private:
  float* at(int64_t piece, size_t i) {
    return pieces_.data() + (piece * static_cast<int64_t>(count) + static_cast<int64_t>(i)) * width_;
  }
  void finish(size_t i, int64_t begin, int64_t end) {
    float* target = sums_[i].target;
    if (target == nullptr) return;
    const bool add = sums_[i].accumulate == Accumulate::yes;
    for (int64_t column = begin; column < end; ++column) {
      double sum = 0.0;  // terms may cancel, as those of a key's bias do, whose gradient is nothing else
      for (int64_t piece = 0; piece < num_pieces_; ++piece) sum += at(piece, i)[column];
      target[column] = static_cast<float>(add ? target[column] + sum : sum);
    }
  }

  int64_t rows_, width_, num_pieces_;
  std::array<ColumnSums, count> sums_;
  std::vector<float> pieces_;
};

template <class Work>
void for_values(int64_t count, const Work& work) {
  at::parallel_for(0, count, kPieceValues, work);
}

}  // namespace

std::vector<const RowKernelVersion*> usable_row_kernels() {
  return usable_versions(kRowKernelVersions);
}

const RowKernelVersion& best_row_kernels() {
  return *best_version(kRowKernelVersions);
}

const RowKernels& row_kernels() {
  static const RowKernels& best = best_row_kernels().functions();
  return best;
}

void layer_norm_forward(const LayerNormForward& call, const RowKernels& kernels) {
  at::parallel_for(0, call.rows, rows_worth_a_thread(call.width),
                   [&](int64_t begin, int64_t end) { kernels.layer_norm_forward(call, begin, end); });
}

void layer_norm_backward(const LayerNormBackward& call, const RowKernels& kernels) {
  PieceSums<3>(call.rows, call.width,
               {{{call.d_weight, call.accumulate_norm},
                 {call.d_bias, call.accumulate_norm},
                 {call.dx_sums, call.accumulate_sums}}})
      .run([&](int64_t begin, int64_t end, const std::array<float*, 3>& sums) {
        kernels.layer_norm_backward(call, begin, end, sums[0], sums[1], sums[2]);
      });
}

void gelu_forward(const GeluForward& call, const RowKernels& kernels) {
  for_values(call.count, [&](int64_t begin, int64_t end) { kernels.gelu_forward(call, begin, end); });
}

void gelu_backward(const GeluBackward& call, const RowKernels& kernels) {
  PieceSums<1>(call.rows, call.width, {{{call.dx_sums, call.accumulate}}})
      .run([&](int64_t begin, int64_t end, const std::array<float*, 1>& sums) {
        kernels.gelu_backward(call, begin, end, sums[0]);
      });
}

void sum_rows(const SumRows& call, const RowKernels& kernels) {
  PieceSums<1>(call.rows, call.width, {{{call.sums, call.accumulate}}})
      .run([&](int64_t begin, int64_t end, const std::array<float*, 1>& sums) {
        kernels.sum_rows(call, begin, end, sums[0]);
      });
}

void add_rows(const AddRows& call, const RowKernels& kernels) {
  at::parallel_for(0, call.rows, rows_worth_a_thread(call.width),
                   [&](int64_t begin, int64_t end) { kernels.add_rows(call, begin, end); });
}

void widen(const Bf16* x, float* y, int64_t count, const RowKernels& kernels) {
  for_values(count, [&](int64_t begin, int64_t end) { kernels.widen(x, y, begin, end); });
}

void round_to_bf16(const float* x, Bf16* y, int64_t count, const RowKernels& kernels) {
  for_values(count, [&](int64_t begin, int64_t end) { kernels.round(x, y, begin, end); });
}

void round_to_bf16_values(const float* x, float* y, int64_t count, const RowKernels& kernels) {
  for_values(count, [&](int64_t begin, int64_t end) { kernels.round_in_place(x, y, begin, end); });
}

}  // namespace cavmae::kernels
