// What is learned once of a library's vectors so that a search looks at few of them: the centres of inverted
// lists and, for large libraries, product codes. Immutable; safe from several threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "cavmae/core/torch.h"
#include "cavmae/data/clip.h"
#include "cavmae/search/library_settings.h"

namespace cavmae {

// How many lists a query looks into.
struct ListProbes {
  int64_t same_side = 1;   // one of the vectors' own side
  int64_t other_side = 0;  // one of the other side; 0: there were none to count by, and it looks into all
};

// Note [Inverted lists]: vectors of length 1 are grouped around centres (spherical k-means; Sivic and
// Zisserman, 2003, have the idea, Johnson, Douze and Jegou, 2017, the sizes): each stands in the list of the
// centre it has the largest product with. A query looks into the lists whose centres are nearest to it, as
// many as ListProbes says. Centres lie in the few directions in which the vectors differ most (the largest
// eigenvectors of their second moments), since nothing but the choice of lists depends on them. Where a
// library is too large for its vectors to stay in memory, a list's vectors are first compared by codes:
// turned by a rotation (OPQ; Ge et al., 2013), cut into parts, and each part replaced by the nearest of 256
// (product quantization; Jegou et al., 2011). What is best by codes is compared by the vectors themselves: as
// many as it takes, counted as lists are.
class ListModel {
 public:
  ListModel() = default;
  // projection: float [P, D], x -> x projection^T, or undefined, which keeps vectors as they are (P = D);
  // centers: float [L, P].
  ListModel(torch::Tensor projection, torch::Tensor centers, const ListProbes& probes)
      : projection_(std::move(projection)), centers_(std::move(centers)), probes_(probes) {}

  // rotation: float [D, D], x -> x rotation^T; codebooks: float [M, 256, D / M]. compared_share: see there.
  void set_codes(torch::Tensor rotation, torch::Tensor codebooks, double compared_share) {
    rotation_ = std::move(rotation);
    codebooks_ = std::move(codebooks);
    compared_share_ = compared_share;
  }

  bool is_there() const { return centers_.defined(); }
  bool has_codes() const { return codebooks_.defined(); }
  int64_t num_lists() const { return centers_.size(0); }
  const ListProbes& probes() const { return probes_; }
  // Of num_lists(), those that a query of the vectors' own side looks into, or of the other one.
  int64_t probe(bool is_same_side) const;

  // vectors: float or half [N, D]. The list of each, int64 [N]; -1: it has no direction (a side that is
  // lacking).
  torch::Tensor lists_of(const torch::Tensor& vectors) const;
  // uint8 [N, M]
  torch::Tensor codes_of(const torch::Tensor& vectors) const;
  // Of all vectors, the share that is compared by the vectors themselves, the best by their codes.
  double compared_share() const { return compared_share_; }

  // query: float [D]. The `count` nearest lists, int64 [count], nearest first.
  torch::Tensor nearest_lists(const torch::Tensor& query, int64_t count) const;
  // Of a query: the product of each part with each of 256, float [M, 256].
  torch::Tensor code_products(const torch::Tensor& query) const;

  // vectors: float [N, D]. As centres are compared with them, [N, P].
  torch::Tensor projected(const torch::Tensor& vectors) const;

  const torch::Tensor& projection() const { return projection_; }
  const torch::Tensor& centers() const { return centers_; }
  const torch::Tensor& rotation() const { return rotation_; }
  const torch::Tensor& codebooks() const { return codebooks_; }

 private:
  torch::Tensor projection_, centers_, rotation_, codebooks_;
  ListProbes probes_;
  double compared_share_ = 0.0;
};

// What a vector's code, [M], says of its product with the query that `products` are of
// (ListModel::code_products()).
inline float product_of_code(const float* products, const uint8_t* code, int64_t parts) {
  float sums[4] = {};
  int64_t part = 0;
  for (; part + 4 <= parts; part += 4)
    for (int64_t j = 0; j < 4; ++j) sums[j] += products[(part + j) * 256 + code[part + j]];
  for (; part < parts; ++part) sums[0] += products[part * 256 + code[part]];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

struct ListModels {
  ListModel audio, video;

  const ListModel& of(ClipSide side) const { return side == ClipSide::audio ? audio : video; }
};

// generation/lists.safetensors, written beside and renamed.
void save_list_models(const std::filesystem::path& generation, const ListModels& models);
void remove_list_models(const std::filesystem::path& generation);
// Nothing where there are none. Throws DataError for a damaged file.
std::optional<ListModels> load_list_models(const std::filesystem::path& generation);

// Rows that have a direction, of length 1: float [n, D]; others are zero.
torch::Tensor directions_of(const torch::Tensor& vectors);

}  // namespace cavmae
