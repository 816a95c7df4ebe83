// Golden vectors of CAV-MAE Sync and TG-DP, made with their authors' code: those of tests/data, or of the
// folder that the environment's CAVMAE_SYNC_GOLDEN names.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>

#include "cavmae/models/cav_mae.h"

#include "tests/support/golden.h"

namespace cavmae::testing_support {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr double kSyncTolerance = 2.5e-5;  // one of LayerNorm's gradients, compiled so: 2.03e-5
#else
inline constexpr double kSyncTolerance = 2e-5;
#endif

inline std::filesystem::path sync_golden_path(const std::string& name) {
  const char* folder = std::getenv("CAVMAE_SYNC_GOLDEN");
  return folder == nullptr || *folder == '\0' ? golden_path("sync/" + name)
                                              : std::filesystem::path(folder) / name;
}

// A file of tensors each of which has to be compared, or passed over with a reason, before it is destroyed.
class SyncGolden {
 public:
  explicit SyncGolden(const std::filesystem::path& file) : file_(read_safetensors(file)) {
    for (const auto& [name, tensor] : file_.tensors) left_.insert(name);
  }
  ~SyncGolden() {
    for (const std::string& name : left_) ADD_FAILURE() << "nobody compared " << name;
  }
  SyncGolden(const SyncGolden&) = delete;
  SyncGolden& operator=(const SyncGolden&) = delete;

  bool has(const std::string& name) const { return file_.find(name) != nullptr; }

  // Marks the tensor as compared.
  torch::Tensor take(const std::string& name) {
    left_.erase(name);
    return file_.at(name);
  }
  void expect_near(const torch::Tensor& actual, const std::string& name, double tolerance = kSyncTolerance) {
    EXPECT_THAT(actual, IsNear(take(name), tolerance)) << name;
  }
  // Those that begin with it and are not compared yet.
  std::vector<std::string> left(const std::string& prefix) const {
    std::vector<std::string> names;
    for (const std::string& name : left_)
      if (name.starts_with(prefix)) names.push_back(name);
    return names;
  }
  void pass_over(const std::string& prefix) {
    for (const std::string& name : left(prefix)) left_.erase(name);
  }

  // The parameters "param.NAME" that a network has.
  NamedTensors parameters() {
    NamedTensors out;
    for (const std::string& name : left("param.")) out.emplace_back(name.substr(6), take(name));
    return out;
  }

 private:
  TensorFile file_;
  std::set<std::string> left_;
};

// The network of these files.
inline CavMaeConfig sync_config() {
  CavMaeConfig config{.num_fbank_frames = 64,
                      .image_size = 48,
                      .embed_dim = 24,
                      .num_heads = 3,
                      .modality_depth = 2,
                      .joint_depth = 1,
                      .decoder_depth = 2,
                      .decoder_embed_dim = 16,
                      .decoder_num_heads = 2};
  config.global_tokens = true;
  config.registers = 3;
  return config;
}

}  // namespace cavmae::testing_support
