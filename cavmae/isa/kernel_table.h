// A family of kernels is one table: versions of the same work for different instructions, the later the
// faster where it may run. What chooses from such tables; safe from several threads.
#pragma once

#include <iterator>
#include <string>
#include <vector>

#include "cavmae/isa/isa.h"

namespace cavmae {

// A version may have more members than these; the functions below look at `needs`.
template <class Functions>
struct KernelVersion {
  const char* name;
  Isa needs;
  Functions functions;
};

// The last version that may run and that `fits`; null where there is none. A table lives as long as the
// process.
template <class Table, class Fits>
auto best_version(const Table& table, const Fits& fits) {
  decltype(&*std::begin(table)) best = nullptr;
  for (const auto& version : table)
    if (usable_isa().has(version.needs) && fits(version)) best = &version;
  return best;
}
template <class Table>
auto best_version(const Table& table) {
  return best_version(table, [](const auto& /*version*/) { return true; });
}

// All that may run, from the slowest.
template <class Table>
auto usable_versions(const Table& table) {
  std::vector<decltype(&*std::begin(table))> usable;
  for (const auto& version : table)
    if (usable_isa().has(version.needs)) usable.push_back(&version);
  return usable;
}

// What `cavmae info --machine` prints of a family.
struct KernelInUse {
  std::string job;          // "attention in bf16"
  std::string version;      // "avx512_bf16"
  std::string reason = {};  // why this one; "" where only the instructions decide
};

}  // namespace cavmae
