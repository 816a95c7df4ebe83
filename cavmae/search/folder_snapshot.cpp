#include "cavmae/search/folder_snapshot.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"

namespace cavmae {
namespace {

torch::Tensor alive_rows(int64_t size, const std::vector<int64_t>& dead) {
  if (dead.empty()) return {};
  torch::Tensor alive = torch::ones({size}, torch::kBool);
  for (const int64_t row : dead) alive.data_ptr<bool>()[row] = false;
  return alive;
}

// The rows that may be found: alive, and of the files (int64 [n], undefined: all). Undefined: all rows.
torch::Tensor selected_rows(const FolderSnapshot::Part& part, const torch::Tensor& files) {
  if (!files.defined()) return part.alive;
  const torch::Tensor of_files = torch::isin(part.rows.file, files);
  return part.alive.defined() ? of_files.logical_and(part.alive) : of_files;
}

}  // namespace

FolderSnapshot::FolderSnapshot(Catalog& catalog, const LibrarySettings& settings,
                               const std::filesystem::path& generation) {
  settings_ = settings;
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
  for (size_t p = 0; p < parts_.size(); ++p) file_orders_.push_back(std::make_unique<FileOrder>());
}

torch::Tensor FolderSnapshot::rows_of_files(size_t p, const torch::Tensor& files) const {
  const Part& part = parts_[p];
  FileOrder& order = *file_orders_[p];
  std::call_once(order.made, [&] {
    const int64_t* ids = part.rows.file.data_ptr<int64_t>();
    order.files = part.rows.file;
    if (!std::is_sorted(ids, ids + part.rows.size()))
      std::tie(order.files, order.rows) =
          part.rows.file.sort(/*stable=*/true, /*dim=*/0, /*descending=*/false);
  });
  const int64_t* sorted = order.files.data_ptr<int64_t>();
  const int64_t* rows = order.rows.defined() ? order.rows.data_ptr<int64_t>() : nullptr;
  const bool* alive = part.alive.defined() ? part.alive.data_ptr<bool>() : nullptr;
  std::vector<int64_t> found;
  const std::set<int64_t> wanted(files.data_ptr<int64_t>(), files.data_ptr<int64_t>() + files.numel());
  for (const int64_t file : wanted) {
    const auto [begin, end] = std::equal_range(sorted, sorted + part.rows.size(), file);
    for (const int64_t* at = begin; at != end; ++at) {
      const int64_t row = rows != nullptr ? rows[at - sorted] : at - sorted;
      if (alive == nullptr || alive[row]) found.push_back(row);
    }
  }
  std::ranges::sort(found);
  return torch::tensor(found, torch::kInt64);
}

torch::Tensor FolderSnapshot::draw_sample(ClipSide side) const {
  using Drawn = std::tuple<uint64_t, size_t, int64_t>;  // hash, part, row
  std::vector<Drawn> heap;                              // the largest hash in front
  constexpr auto kMost = static_cast<size_t>(kSampleSize);
  for (size_t p = 0; p < parts_.size(); ++p) {
    const Part& part = parts_[p];
    const int64_t* ids = part.rows.moment.data_ptr<int64_t>();
    const bool* alive = part.alive.defined() ? part.alive.data_ptr<bool>() : nullptr;
    const torch::Tensor& vectors = vectors_of(part.rows, side);
    if (is_all_lacking(vectors)) continue;
    for (int64_t row = 0; row < part.rows.size(); ++row) {
      const uint64_t hash = sample_hash(ids[row]);
      if (alive != nullptr && !alive[row]) continue;
      if (heap.size() == kMost && hash >= std::get<0>(heap.front())) continue;
      if (!std::isfinite(vectors[row][0].item<float>())) continue;
      heap.emplace_back(hash, p, row);
      std::ranges::push_heap(heap);
      if (heap.size() <= kMost) continue;
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

const torch::Tensor& FolderSnapshot::sample(ClipSide side) const {
  CAVMAE_CHECK(side != ClipSide::both, "sample: of one side");
  const int which = side == ClipSide::audio ? 0 : 1;
  std::call_once(drawn_[which], [&] {
    const torch::NoGradGuard no_grad;
    samples_[which] = draw_sample(side);
  });
  return samples_[which];
}

std::vector<std::pair<std::string, std::string>> FolderSnapshot::facts() const {
  std::vector<std::pair<std::string, std::string>> out = {
      {"vectors",
       fmt::format("{} numbers each, {}, in {} segments and a tail of {}", settings_.model.embed_dim,
                   enum_name(settings_.vectors), counts_.segments, counts_.in_tail)}};
  for (const ClipSide side : {ClipSide::audio, ClipSide::video}) {
    const ListModel& model = list_models_.of(side);
    if (model.is_there())
      out.emplace_back(
          std::string("lists of ") + side_name(side),
          fmt::format("{}, of which a query of {} looks into {}, one of the other side into {}{}",
                      model.num_lists(), side_name(side), model.probe(/*is_same_side=*/true),
                      model.probe(/*is_same_side=*/false), model.has_codes() ? ", with codes" : ""));
  }
  return out;
}

FolderSelection::FolderSelection(std::shared_ptr<const FolderSnapshot> snapshot, const torch::Tensor& files,
                                 bool exact)
    : snapshot_(std::move(snapshot)), exact_(exact) {
  for (const FolderSnapshot::Part& part : snapshot_->parts()) selected_.push_back(selected_rows(part, files));
}

int64_t FolderSelection::size() const {
  int64_t rows = 0;
  for (const FolderSnapshot::Part& part : snapshot_->parts()) rows += part.rows.size();
  return rows;
}

bool FolderSelection::compares_all() const {
  return exact_ || std::ranges::none_of(snapshot_->parts(), [](const FolderSnapshot::Part& part) {
           return part.lists.has_value();
         });
}

// The k nearest rows of a part; where it has lists, of those in `effort` times as many lists as suffice.
// `is_all`: whether no row was left out.
Neighbors FolderSelection::nearest_rows(size_t p, const torch::Tensor& query, const ComparedSides& sides,
                                        int64_t k, int64_t effort, bool& is_all) const {
  const FolderSnapshot::Part& part = snapshot_->parts()[p];
  const torch::Tensor& vectors = vectors_of(part.rows, sides.found);
  const ListModel& model = snapshot_->list_models().of(sides.found);
  const bool has_lists = !exact_ && part.lists && part.lists->of(sides.found).offsets.defined();
  const int64_t num_lists =
      has_lists ? std::min(model.num_lists(), effort * model.probe(sides.query == sides.found)) : 0;
  if (is_all_lacking(vectors)) {
    is_all = true;
    return {.indices = torch::empty({1, 0}, torch::kInt64), .scores = torch::empty({1, 0})};
  }
  if (!has_lists || num_lists == model.num_lists()) {
    const Neighbors found = cavmae::nearest(query, vectors, k, selected_[p]);
    is_all = found.indices.numel() == part.rows.size();
    return found;
  }
  // Of what codes say is best: times k, and as many as hold the nearest ten.
  constexpr int64_t kComparedByVectors = 16;
  const auto share =
      static_cast<int64_t>(std::ceil(model.compared_share() * static_cast<double>(part.rows.size())));
  const torch::Tensor rows =
      candidates(part.lists->of(sides.found), model,
                 {.query = query,
                  .probe = num_lists,
                  .most = std::max<int64_t>({1000, kComparedByVectors * k, effort * share}),
                  .selected = selected_[p]});
  is_all = false;
  return nearest_among(query, vectors, rows, k);
}

// Among the k nearest of each part. A moment that is not among them is no more similar than the last of
// these, so that only what is more similar is certain.
NearMoments FolderSelection::nearest(const torch::Tensor& query, const ComparedSides& sides, int64_t k,
                                     int64_t effort) const {
  NearMoments out;
  for (size_t p = 0; p < snapshot_->parts().size(); ++p) {
    bool is_all = false;
    const Neighbors found = nearest_rows(p, query, sides, k, effort, is_all);
    const int64_t n = found.indices.numel();
    const int64_t* indices = found.indices.data_ptr<int64_t>();
    const float* similarities = found.scores.data_ptr<float>();
    for (int64_t i = 0; i < n && indices[i] >= 0; ++i)
      out.found.push_back(
          {.moment = moment_at(snapshot_->parts()[p].rows, indices[i]), .similarity = similarities[i]});
    if (is_all || (n > 0 && indices[n - 1] < 0)) continue;
    const double last = n > 0 ? similarities[n - 1] : std::numeric_limits<double>::infinity();
    out.complete_above = std::max(out.complete_above, last);
  }
  return out;
}

std::vector<NearMoment> FolderSelection::compare(const torch::Tensor& query, ClipSide side,
                                                 const torch::Tensor& files) const {
  std::vector<NearMoment> out;
  for (size_t p = 0; p < snapshot_->parts().size(); ++p) {
    const FolderSnapshot::Part& part = snapshot_->parts()[p];
    const torch::Tensor positions = snapshot_->rows_of_files(p, files);
    if (positions.size(0) == 0) continue;
    const Neighbors found = nearest_among(query, vectors_of(part.rows, side), positions, positions.size(0));
    const int64_t* indices = found.indices.data_ptr<int64_t>();
    for (int64_t i = 0; i < found.indices.numel() && indices[i] >= 0; ++i)
      out.push_back(
          {.moment = moment_at(part.rows, indices[i]), .similarity = found.scores.data_ptr<float>()[i]});
  }
  return out;
}

}  // namespace cavmae
