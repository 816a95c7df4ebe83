// An entry of the cache, whatever its header says of the records behind it.
#include <cstdint>

#include "tests/fuzz/cache_seed.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cavmae;
  static const fuzz::InputFolder folder;
  static const FeatureCache cache(folder.path() / "cache", null_log());
  static const auto path = [] {
    const auto entry = cache.path_of(fuzz::cache_key());
    std::filesystem::create_directories(entry.parent_path());
    return entry;
  }();
  folder.write(path, fuzz::text_of(data, size));
  const auto entry = cache.open(fuzz::cache_key());
  if (!entry) return 0;
  for (int64_t i = 0; i < entry->num_records(); ++i)
    if (const auto record = entry->read(i);
        record && record->sizes() != torch::IntArrayRef(entry->record_shape()))
      fuzz::fail("a record has another shape than its entry");
  return 0;
}
