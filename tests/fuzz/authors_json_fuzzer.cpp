// The authors' JSON.
#include "tests/fuzz/list_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cavmae::fuzz;
  read_as_list("input.json", text_of(data, size));
  return 0;
}
