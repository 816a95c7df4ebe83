// A .safetensors file: read whole, described by its header, and each tensor mapped into memory.
#include <cstdint>

#include "cavmae/tensorfile/safetensors.h"

#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cavmae;
  static const fuzz::InputFolder folder;
  const auto path = folder.write("input.safetensors", fuzz::text_of(data, size));
  fuzz::expect_own_errors("input.safetensors", [&] { read_safetensors(path); });
  fuzz::expect_own_errors("input.safetensors", [&] {
    for (const TensorInfo& tensor : inspect_safetensors(path).tensors) {
      const torch::Tensor mapped = map_safetensors(path, tensor.name);
      if (mapped.sizes() != torch::IntArrayRef(tensor.shape)) fuzz::fail("a tensor has two shapes");
      if (mapped.numel() > 0) mapped.view(-1)[mapped.numel() - 1].item();  // its last number is in the file
    }
  });
  return 0;
}
