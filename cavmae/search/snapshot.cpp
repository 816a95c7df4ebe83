#include "cavmae/search/snapshot.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

constexpr size_t kSampleSize = 10000;

// Finalizer of SplitMix64 (Steele, Lea and Flood, 2014): every bit of the result depends on every one of x.
uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

torch::Tensor alive_rows(int64_t size, const std::vector<int64_t>& dead) {
  if (dead.empty()) return {};
  torch::Tensor alive = torch::ones({size}, torch::kBool);
  for (const int64_t row : dead) alive.data_ptr<bool>()[row] = false;
  return alive;
}

}  // namespace

Snapshot::Snapshot(Catalog& catalog, const LibrarySettings& settings, const std::filesystem::path& generation)
    : settings_(settings) {
  const torch::ScalarType type = scalar_type(settings.vectors);
  Transaction transaction(catalog.database(), Transaction::Kind::read);
  counts_ = catalog.counts();
  const std::optional<ListModels> models = load_list_models(generation);
  if (models) list_models_ = *models;
  for (const SegmentRecord& segment : catalog.segments()) {
    const std::filesystem::path file = segment_file(generation, segment.id);
    parts_.push_back({.rows = map_segment(file, segment.rows, settings.model.embed_dim, type),
                      .alive = alive_rows(segment.rows, catalog.dead_rows(segment.id)),
                      .segment = segment.id});
    if (models) parts_.back().lists = map_segment_lists(lists_file(file), *models, segment.rows);
  }
  MomentRows tail = read_tail(catalog, settings.model.embed_dim, type);
  if (tail.size() > 0) parts_.push_back({.rows = std::move(tail), .alive = {}, .segment = 0});
}

torch::Tensor Snapshot::draw_sample(ClipSide side) const {
  using Drawn = std::tuple<uint64_t, size_t, int64_t>;  // hash, part, row
  std::vector<Drawn> heap;                              // the largest hash in front
  for (size_t p = 0; p < parts_.size(); ++p) {
    const Part& part = parts_[p];
    const int64_t* ids = part.rows.moment.data_ptr<int64_t>();
    const bool* alive = part.alive.defined() ? part.alive.data_ptr<bool>() : nullptr;
    const torch::Tensor& vectors = vectors_of(part.rows, side);
    for (int64_t row = 0; row < part.rows.size(); ++row) {
      const uint64_t hash = mix(static_cast<uint64_t>(ids[row]));
      if (alive != nullptr && !alive[row]) continue;
      if (heap.size() == kSampleSize && hash >= std::get<0>(heap.front())) continue;
      if (!std::isfinite(vectors[row][0].item<float>())) continue;
      heap.emplace_back(hash, p, row);
      std::ranges::push_heap(heap);
      if (heap.size() <= kSampleSize) continue;
      std::ranges::pop_heap(heap);
      heap.pop_back();
    }
  }
  std::ranges::sort(heap);
  torch::Tensor sample =
      torch::empty({static_cast<int64_t>(heap.size()), settings_.model.embed_dim}, torch::kFloat32);
  for (size_t i = 0; i < heap.size(); ++i)
    sample[static_cast<int64_t>(i)].copy_(
        vectors_of(parts_[std::get<1>(heap[i])].rows, side)[std::get<2>(heap[i])]);
  return sample;
}

const torch::Tensor& Snapshot::sample(ClipSide side) const {
  CAVMAE_CHECK(side != ClipSide::both, "Snapshot::sample: of one side");
  const int which = side == ClipSide::audio ? 0 : 1;
  std::call_once(drawn_[which], [&] {
    const torch::NoGradGuard no_grad;
    samples_[which] = draw_sample(side);
  });
  return samples_[which];
}

}  // namespace cavmae
