// Which rows of a matrix are nearest to a vector, by cosine similarity: an exact search that looks at every
// row. A free function, safe from several threads; each call uses all of LibTorch's threads.
#pragma once

#include <cstdint>

#include "cavmae/core/torch.h"

namespace cavmae {

struct Neighbors {
  torch::Tensor indices;  // int64 [Q, k'], rows of the matrix, best first; -1 where no more are found
  torch::Tensor scores;   // float [Q, k'], cosine similarities; NaN there
};

// queries: float or half [Q, D], or [D] for one. matrix: float or half [N, D] on the CPU, of any strides,
// also of a mapped file (map_embeddings()). k' = min(k, N). Rows need not be normalised. The score of a row
// is computed in double and rounded to float, so neither threads nor blocks nor the other rows change it;
// rows of equal scores come in the order of the matrix. A row that is all zeros or holds a value that is not
// finite (NaN: the clip lacks that modality) is never found, and such a query finds nothing. `selected`: bool
// [N], rows that may be found; undefined: all. Needs memory for the results and a block of scores a thread,
// never for Q x N. Throws Error for tensors of other shapes or types.
Neighbors nearest(const torch::Tensor& queries, const torch::Tensor& matrix, int64_t k,
                  const torch::Tensor& selected = {});

// Likewise among some rows alone, which are compared where they lie. rows: int64 [M], ascending. k' = min(k,
// M); the indices are the matrix's.
Neighbors nearest_among(const torch::Tensor& queries, const torch::Tensor& matrix, const torch::Tensor& rows,
                        int64_t k);

// How similar every row is, float [N], in float; 0 of what has no direction. query: float [D]; matrix: float
// [N, D], contiguous.
torch::Tensor cosine_similarities(const torch::Tensor& query, const torch::Tensor& matrix);

}  // namespace cavmae
