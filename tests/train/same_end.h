// Whether two runs came to the same end.
#pragma once

#include <filesystem>
#include <string>

#include <gmock/gmock.h>

#include "cavmae/tensorfile/safetensors.h"

#include "tests/train/toy_run.h"

namespace cavmae {

inline void expect_same_tensors(const std::filesystem::path& got, const std::filesystem::path& wanted) {
  const TensorFile a = read_safetensors(got), b = read_safetensors(wanted);
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (const auto& [key, tensor] : b.tensors)
    EXPECT_TRUE(torch::equal(a.at(key), tensor)) << wanted.filename().string() << ": " << key;
}

// Whether a record's number tells how long something took.
inline bool is_of_time(const std::string& name) {
  return name.find("second") != std::string::npos || name.ends_with("_share");
}

// The same parameters, optimizer, generator and records, bit for bit.
inline void expect_same_end(const std::filesystem::path& got, const std::filesystem::path& wanted) {
  for (const char* name : {"model.safetensors", "optimizer.safetensors", "generator.safetensors"})
    expect_same_tensors(got / "checkpoints/last" / name, wanted / "checkpoints/last" / name);
  const auto a = read_metrics(got), b = read_metrics(wanted);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i)
    for (const auto& [name, value] : b[i].items()) {
      if (is_of_time(name)) continue;
      EXPECT_EQ(a[i].value(name, Json()), value) << name << " of record " << i;
    }
}

}  // namespace cavmae
