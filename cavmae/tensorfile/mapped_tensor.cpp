#include "cavmae/tensorfile/mapped_tensor.h"

#include <utility>

namespace cavmae {
namespace {

struct MappedValues {
  std::shared_ptr<char> memory;
  PlaceInFile part;  // file null: cannot be read
};

void let_go(void* values) {
  delete static_cast<MappedValues*>(values);
}

}  // namespace

torch::Tensor mapped_tensor(std::shared_ptr<char> memory, uint64_t position,
                            const std::vector<int64_t>& sizes, torch::ScalarType type,
                            std::shared_ptr<const FileReader> file) {
  char* const values = memory.get() + position;
  auto owner = std::make_unique<MappedValues>(
      MappedValues{.memory = std::move(memory), .part = {.file = std::move(file), .position = position}});
  return at::for_blob(values, sizes)
      .context(owner.release(), let_go)
      .options(torch::TensorOptions(type))
      .make_tensor();
}

std::optional<PlaceInFile> place_in_file(const torch::Tensor& tensor) {
  if (!tensor.is_contiguous() || tensor._version() != 0) return std::nullopt;
  const auto* const values = tensor.storage().data_ptr().cast_context<MappedValues>(let_go);
  if (values == nullptr || values->part.file == nullptr) return std::nullopt;
  PlaceInFile part = values->part;
  part.position += static_cast<uint64_t>(tensor.storage_offset()) * tensor.element_size();
  return part;
}

}  // namespace cavmae
