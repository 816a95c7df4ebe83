#include "cavmae/models/parameters_hash.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "cavmae/core/error.h"
#include "cavmae/core/parallel.h"
#include "cavmae/core/text.h"

namespace cavmae {
namespace {

constexpr int64_t kChunkBytes = 1 << 20;

// Of chunks apart, so that all threads take part.
uint64_t hash_of(std::string_view bytes) {
  const int64_t size = static_cast<int64_t>(bytes.size());
  std::vector<uint64_t> chunks((size + kChunkBytes - 1) / kChunkBytes);
  at::parallel_for(0, static_cast<int64_t>(chunks.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) chunks[i] = stable_hash(bytes.substr(i * kChunkBytes, kChunkBytes));
  });
  return stable_hash({reinterpret_cast<const char*>(chunks.data()), chunks.size() * sizeof(uint64_t)});
}

}  // namespace

std::string parameters_hash(CavMae network) {
  const torch::NoGradGuard no_grad;
  uint64_t hash = stable_hash("");
  for (const auto& item : network->named_parameters()) {
    const torch::Tensor numbers = item.value().to(torch::kCPU).contiguous();
    const uint64_t of_numbers =
        hash_of({static_cast<const char*>(numbers.data_ptr()), static_cast<size_t>(numbers.nbytes())});
    hash = stable_hash(concat(item.key(), " ", numbers.sizes(), " ", of_numbers, "\n"), hash);
  }
  return fmt::format("{:016x}", hash);
}

}  // namespace cavmae
