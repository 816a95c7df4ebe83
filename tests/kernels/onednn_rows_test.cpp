#include "cavmae/kernels/onednn_rows.h"

#include <utility>

#include <gtest/gtest.h>

namespace cavmae::kernels {
namespace {

// The rows of the paper's networks in a batch of 8, and others that were timed with tiles.
TEST(OnednnRows, ThoseOfALargePrimeFactorAreCutBehindTheLastWholeBlock) {
  for (const auto& [rows, at_once] :
       {std::pair{5664, 5632}, {1416, 1408}, {708, 704}, {732, 704}, {636, 576}, {1888, 1856}})
    EXPECT_EQ(rows_at_once(rows, /*on_tiles=*/true), at_once);
  for (const int64_t whole : {5632, 1408, 1024, 832, 64, 59, 1})
    EXPECT_EQ(rows_at_once(whole, /*on_tiles=*/true), whole);
  EXPECT_EQ(rows_at_once(5664, /*on_tiles=*/false), 5664) << "without tiles nothing is gained";
}

}  // namespace
}  // namespace cavmae::kernels
