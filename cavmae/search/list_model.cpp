#include "cavmae/search/list_model.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cavmae/core/error.h"
#include "cavmae/core/parallel.h"
#include "cavmae/kernels/code_assignment.h"
#include "cavmae/tensorfile/safetensors.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

// Whose products with ten thousand centres are 20 MB: memory that malloc keeps, near the processor.
constexpr int64_t kBlockRows = 512;

fs::path models_file(const fs::path& generation) {
  return generation / "lists.safetensors";
}

// For `count` rows from `begin` on of each block; blocks on all threads, each with products of its own.
template <class Work>
void for_each_block(int64_t rows, const Work& work) {
  const int64_t blocks = (rows + kBlockRows - 1) / kBlockRows;
  at::parallel_for(0, blocks, /*grain_size=*/1, [&](int64_t first, int64_t end) {
    const torch::NoGradGuard no_grad;
    for (int64_t block = first; block < end; ++block)
      work(block * kBlockRows, std::min(kBlockRows, rows - block * kBlockRows));
  });
}

}  // namespace

torch::Tensor directions_of(const torch::Tensor& vectors) {
  const torch::Tensor rows = vectors.to(torch::kFloat32).nan_to_num(0.0, 0.0, 0.0);
  const torch::Tensor length = rows.norm(2, /*dim=*/1, /*keepdim=*/true);
  return torch::where(length > 0, rows / length, torch::zeros_like(rows));
}

torch::Tensor ListModel::projected(const torch::Tensor& vectors) const {
  return projection_.defined() ? vectors.matmul(projection_.t()) : vectors;
}

torch::Tensor ListModel::lists_of(const torch::Tensor& vectors) const {
  torch::Tensor out = torch::empty({vectors.size(0)}, torch::kInt64);
  for_each_block(vectors.size(0), [&](int64_t begin, int64_t count) {
    const torch::Tensor some = directions_of(vectors.narrow(0, begin, count));
    const torch::Tensor list = projected(some).matmul(centers_.t()).argmax(1);
    out.narrow(0, begin, count).copy_(torch::where(some.abs().sum(1) > 0, list, torch::full_like(list, -1)));
  });
  return out;
}

torch::Tensor ListModel::codes_of(const torch::Tensor& vectors) const {
  const int64_t parts = codebooks_.size(0);
  const torch::Tensor by_number = codebooks_.transpose(1, 2).contiguous();
  const torch::Tensor half_squares = codebooks_.square().sum(2).mul(0.5).contiguous();
  const kernels::CodeBooks books{.by_number = by_number.data_ptr<float>(),
                                 .half_squares = half_squares.data_ptr<float>(),
                                 .parts = parts,
                                 .width = codebooks_.size(2)};
  torch::Tensor out = torch::empty({vectors.size(0), parts}, torch::kUInt8);
  for_each_block(vectors.size(0), [&](int64_t begin, int64_t count) {
    const torch::Tensor turned = directions_of(vectors.narrow(0, begin, count)).matmul(rotation_.t());
    kernels::code_assignment().assign(books, turned.data_ptr<float>(), count,
                                      out.data_ptr<uint8_t>() + begin * parts);
  });
  return out;
}

int64_t ListModel::probe(bool is_same_side) const {
  if (is_same_side) return probes_.same_side;
  return probes_.other_side > 0 ? probes_.other_side : num_lists();
}

torch::Tensor ListModel::nearest_lists(const torch::Tensor& query, int64_t count) const {
  const torch::Tensor products = centers_.mv(projected(directions_of(query.unsqueeze(0)))[0]);
  return std::get<1>(products.topk(std::min(count, num_lists())));
}

torch::Tensor ListModel::code_products(const torch::Tensor& query) const {
  const int64_t parts = codebooks_.size(0), width = codebooks_.size(2);
  const torch::Tensor turned = rotation_.mv(directions_of(query.unsqueeze(0))[0]).view({parts, width, 1});
  return codebooks_.matmul(turned).squeeze(2).contiguous();
}

void save_list_models(const fs::path& generation, const ListModels& models) {
  NamedTensors tensors;
  std::map<std::string, std::string> metadata = {{"format", "cavmae library lists"}};
  for (const auto& [name, model] : {std::pair("audio", &models.audio), std::pair("video", &models.video)}) {
    if (!model->is_there()) continue;
    const std::string side = name;
    if (model->projection().defined()) tensors.emplace_back(side + ".projection", model->projection());
    tensors.emplace_back(side + ".centers", model->centers());
    if (model->has_codes()) {
      tensors.emplace_back(side + ".rotation", model->rotation());
      tensors.emplace_back(side + ".codebooks", model->codebooks());
    }
    if (model->has_codes())
      metadata[side + ".compared_share"] = fmt::format("{:.9g}", model->compared_share());
    metadata[side + ".probe"] = std::to_string(model->probes().same_side);
    metadata[side + ".probe_of_other_side"] = std::to_string(model->probes().other_side);
  }
  write_safetensors(models_file(generation), tensors, metadata);
}

void remove_list_models(const fs::path& generation) {
  fs::remove(models_file(generation));
}

std::optional<ListModels> load_list_models(const fs::path& generation) {
  const fs::path path = models_file(generation);
  if (!fs::exists(path)) return std::nullopt;
  try {
    const TensorFile file = read_safetensors(path);
    const auto model = [&](const std::string& side) {
      const torch::Tensor* centers = file.find(side + ".centers");
      if (centers == nullptr) return ListModel();
      const torch::Tensor* projection = file.find(side + ".projection");
      ListProbes probes{.same_side = std::stoll(file.metadata.at(side + ".probe"))};
      if (const auto other = file.metadata.find(side + ".probe_of_other_side"); other != file.metadata.end())
        probes.other_side = std::stoll(other->second);
      ListModel out(projection != nullptr ? *projection : torch::Tensor(), *centers, probes);
      const auto share = file.metadata.find(side + ".compared_share");
      if (const torch::Tensor* rotation = file.find(side + ".rotation");
          rotation != nullptr && share != file.metadata.end())  // else they are learned anew
        out.set_codes(*rotation, file.at(side + ".codebooks"), std::stod(share->second));
      return out;
    };
    return ListModels{.audio = model("audio"), .video = model("video")};
  } catch (const std::exception& e) {
    throw DataError(
        concat(path.string(), ": is damaged: ", e.what(), "; remove it, and cavmae index makes it anew"));
  }
}

}  // namespace cavmae
