// A .pth in PyTorch's zip format: the directory, the records, and the pickle among them.
#include <cstdint>

#include "cavmae/tensorfile/pth.h"

#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cavmae;
  static const fuzz::InputFolder folder;
  const auto path = folder.write("input.pth", fuzz::text_of(data, size));
  fuzz::expect_own_errors("input.pth", [&] { inspect_pth(path); });
  fuzz::expect_own_errors("input.pth", [&] { read_pth(path); });
  return 0;
}
