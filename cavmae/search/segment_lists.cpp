#include "cavmae/search/segment_lists.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/core/parallel.h"
#include "cavmae/tensorfile/safetensors.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

void add_side(const std::string& side, const torch::Tensor& vectors, const ListModel& model,
              NamedTensors& tensors) {
  if (!model.is_there()) return;
  const torch::Tensor list_of = model.lists_of(vectors);
  const torch::Tensor order = list_of.argsort(/*stable=*/true);
  const torch::Tensor lacking = list_of < 0;
  const int64_t num_lacking = lacking.sum().item<int64_t>();
  const torch::Tensor rows = order.narrow(0, num_lacking, order.size(0) - num_lacking);
  const torch::Tensor sizes =
      torch::bincount(list_of.index({lacking.logical_not()}), /*weights=*/{}, model.num_lists());
  const torch::Tensor offsets = torch::cat({torch::zeros({1}, torch::kInt64), sizes.cumsum(0)});
  tensors.emplace_back(side + ".offsets", offsets);
  tensors.emplace_back(side + ".rows", rows.to(torch::kInt32));
  if (model.has_codes()) tensors.emplace_back(side + ".codes", model.codes_of(vectors).index_select(0, rows));
}

SideLists side_of(const TensorFile& file, const std::string& side) {
  SideLists out;
  if (const torch::Tensor* offsets = file.find(side + ".offsets")) {
    out.offsets = *offsets;
    out.rows = file.at(side + ".rows");
    if (const torch::Tensor* codes = file.find(side + ".codes")) out.codes = *codes;
  }
  return out;
}

bool fits(const SideLists& lists, const ListModel& model, int64_t num_rows) {
  if (!model.is_there() || !lists.offsets.defined()) return !model.is_there() && !lists.offsets.defined();
  const bool has_shape =
      lists.offsets.scalar_type() == torch::kInt64 && lists.rows.scalar_type() == torch::kInt32 &&
      lists.offsets.sizes() == torch::IntArrayRef({model.num_lists() + 1}) && lists.rows.dim() == 1 &&
      lists.rows.size(0) <= num_rows && lists.offsets[-1].item<int64_t>() == lists.rows.size(0) &&
      lists.codes.defined() == model.has_codes();
  if (!has_shape || lists.rows.size(0) == 0) return has_shape;
  return lists.offsets.diff().ge(0).all().item<bool>() && lists.offsets[0].item<int64_t>() == 0 &&
         lists.rows.min().item<int32_t>() >= 0 && lists.rows.max().item<int32_t>() < num_rows;
}

struct Scored {
  float score;
  int32_t row;
};

// Appends what the codes of the entries [begin, end) say.
void score_codes(const SideLists& lists, const float* products, int64_t begin, int64_t end,
                 const bool* selected, std::vector<Scored>& out) {
  const int64_t parts = lists.codes.size(1);
  const uint8_t* codes = lists.codes.data_ptr<uint8_t>() + begin * parts;
  const int32_t* rows = lists.rows.data_ptr<int32_t>();
  for (int64_t i = begin; i < end; ++i, codes += parts) {
    if (selected != nullptr && !selected[rows[i]]) continue;
    out.push_back({.score = product_of_code(products, codes, parts), .row = rows[i]});
  }
}

}  // namespace

fs::path lists_file(const fs::path& segment_file) {
  fs::path file = segment_file;
  return file.replace_extension(".lists.safetensors");
}

void write_segment_lists(const fs::path& file, const MomentRows& rows, const ListModels& models) {
  NamedTensors tensors;
  add_side("audio", rows.audio, models.audio, tensors);
  add_side("video", rows.video, models.video, tensors);
  write_safetensors(file, tensors, {{"format", "cavmae library segment lists"}});
}

std::optional<SegmentLists> map_segment_lists(const fs::path& file, const ListModels& models,
                                              int64_t num_rows) {
  if (!fs::exists(file)) return std::nullopt;
  try {
    const TensorFile mapped = map_safetensors(file);
    SegmentLists lists{.audio = side_of(mapped, "audio"), .video = side_of(mapped, "video")};
    if (fits(lists.audio, models.audio, num_rows) && fits(lists.video, models.video, num_rows)) return lists;
  } catch (const CheckpointError&) {
    // As if it were not there: the segment has all that is needed.
  }
  return std::nullopt;
}

torch::Tensor candidates(const SideLists& lists, const ListModel& model, const CandidateRequest& request) {
  const torch::Tensor probed = model.nearest_lists(request.query, request.probe);
  const int64_t* offsets = lists.offsets.data_ptr<int64_t>();
  const bool* selected = request.selected.defined() ? request.selected.data_ptr<bool>() : nullptr;
  std::vector<int64_t> found;
  if (!model.has_codes()) {
    const int32_t* rows = lists.rows.data_ptr<int32_t>();
    for (int64_t i = 0; i < probed.size(0); ++i) {
      const int64_t list = probed.data_ptr<int64_t>()[i];
      for (int64_t at = offsets[list]; at < offsets[list + 1]; ++at)
        if (selected == nullptr || selected[rows[at]]) found.push_back(rows[at]);
    }
  } else {
    const torch::Tensor products = model.code_products(request.query);
    std::vector<std::vector<Scored>> scored(static_cast<size_t>(probed.size(0)));
    at::parallel_for(0, probed.size(0), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t list = probed.data_ptr<int64_t>()[i];
        score_codes(lists, products.data_ptr<float>(), offsets[list], offsets[list + 1], selected,
                    scored[static_cast<size_t>(i)]);
      }
    });
    std::vector<Scored> all;
    for (const auto& some : scored) all.insert(all.end(), some.begin(), some.end());
    const auto most = std::min<size_t>(static_cast<size_t>(request.most), all.size());
    std::ranges::nth_element(all, all.begin() + static_cast<std::ptrdiff_t>(most),
                             [](const Scored& a, const Scored& b) { return a.score > b.score; });
    for (size_t i = 0; i < most; ++i) found.push_back(all[i].row);
  }
  std::ranges::sort(found);
  return torch::tensor(found, torch::kInt64);
}

}  // namespace cavmae
