#include "cavmae/kernels/code_assignment.h"

#include <vector>

#include <gtest/gtest.h>

#include "cavmae/core/torch.h"

#include "tests/support/normal.h"

namespace cavmae::kernels {
namespace {

// The code that is chosen is as near as the nearest one, but for rounding.
TEST(CodeAssignment, OfEveryVersionFindsTheNearestCode) {
  for (const int64_t width : {1, 3, 8, 12}) {
    constexpr int64_t kParts = 5, kRows = 37;
    const torch::Tensor books = normal({kParts, kCodes, width}, static_cast<uint64_t>(width));
    const torch::Tensor rows = normal({kRows, kParts, width}, 77);
    const torch::Tensor by_number = books.transpose(1, 2).contiguous();
    const torch::Tensor half_squares = books.square().sum(2).mul(0.5).contiguous();
    const torch::Tensor distances =
        (books.unsqueeze(0) - rows.unsqueeze(2)).to(torch::kFloat64).square().sum(3);
    for (const CodeAssignmentVersion* version : usable_code_assignments()) {
      std::vector<uint8_t> codes(kRows * kParts);
      version->functions.assign({.by_number = by_number.data_ptr<float>(),
                                 .half_squares = half_squares.data_ptr<float>(),
                                 .parts = kParts,
                                 .width = width},
                                rows.data_ptr<float>(), kRows, codes.data());
      for (int64_t r = 0; r < kRows; ++r)
        for (int64_t part = 0; part < kParts; ++part) {
          const torch::Tensor of_part = distances[r][part];
          EXPECT_LE(of_part[codes[static_cast<size_t>(r * kParts + part)]].item<double>(),
                    of_part.min().item<double>() + 1e-4)
              << version->name << " " << width;
        }
    }
  }
}

TEST(CodeAssignment, TakesTheFirstOfEquals) {
  const torch::Tensor by_number = torch::ones({1, 2, kCodes}), half_squares = torch::ones({1, kCodes});
  by_number.select(2, 200).fill_(2);
  by_number.select(2, 77).fill_(2);
  const torch::Tensor row = torch::ones({1, 2});
  for (const CodeAssignmentVersion* version : usable_code_assignments()) {
    uint8_t code = 0;
    version->functions.assign({.by_number = by_number.data_ptr<float>(),
                               .half_squares = half_squares.data_ptr<float>(),
                               .parts = 1,
                               .width = 2},
                              row.data_ptr<float>(), 1, &code);
    EXPECT_EQ(code, 77) << version->name;
  }
}

}  // namespace
}  // namespace cavmae::kernels
