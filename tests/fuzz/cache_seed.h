// The cache entry that the fuzzer of entries begins with. Private to tests/fuzz.
#pragma once

#include "cavmae/data/feature_cache.h"

namespace cavmae::fuzz {

inline CacheKey cache_key() {
  return {.name = "name", .stamp = "stamp"};
}

}  // namespace cavmae::fuzz
