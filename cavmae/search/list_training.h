// Learning the lists and codes of a library from a sample of its vectors, by FAISS. Private to this folder; a
// free function.
#pragma once

#include <cstdint>
#include <functional>

#include "cavmae/core/torch.h"
#include "cavmae/search/list_model.h"

namespace cavmae {

struct ListTraining {
  int64_t num_vectors = 0;  // of the library: how many lists there are to be
  bool codes = false;
  uint64_t seed = 1;
  // Called after each of kListRounds; false: stop there.
  std::function<bool()> after_round = [] { return true; };
};
inline constexpr int kListRounds = 12;  // of k-means

// Most vectors that training looks at, for a library of so many.
int64_t training_size(int64_t num_vectors);

// vectors: float [n, D] of length 1, a sample of one side. ListProbes are the smallest numbers of lists in
// which 98 of 100 of the ten nearest vectors of queries stand, of queries of that side and of those of the
// other one (`others`, float [m, D] of length 1), which lie elsewhere. Without lists where it was stopped.
ListModel train_lists(const torch::Tensor& vectors, const torch::Tensor& others, const ListTraining& options);

}  // namespace cavmae
