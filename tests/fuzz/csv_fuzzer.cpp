// A list in CSV, and the same text with tab separators and as plain paths.
#include "tests/fuzz/list_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cavmae::fuzz;
  for (const char* name : {"input.csv", "input.tsv", "input.txt"}) read_as_list(name, text_of(data, size));
  return 0;
}
