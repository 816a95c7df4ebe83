// A World that writes down what its rank calls. Test code only.
#pragma once

#include <string>
#include <vector>

#include "cavmae/dist/world.h"

namespace cavmae::testing_support {

class ToldWorld final : public World {
 public:
  explicit ToldWorld(World& world) : world_(world) {}

  int64_t rank() const override { return world_.rank(); }
  int64_t size() const override { return world_.size(); }
  const std::vector<std::string>& calls() const { return calls_; }

 protected:
  void do_all_reduce(const torch::Tensor& tensor) override {
    calls_.emplace_back("all_reduce");
    world_.all_reduce(tensor);
  }
  std::vector<torch::Tensor> do_all_gather(const torch::Tensor& tensor) override {
    calls_.emplace_back("all_gather");
    return world_.all_gather(tensor);
  }
  void do_broadcast(const torch::Tensor& tensor, int64_t root) override {
    calls_.emplace_back("broadcast");
    world_.broadcast(tensor, root);
  }
  void do_wait_for_all() override {
    calls_.emplace_back("wait_for_all");
    world_.wait_for_all();
  }

 private:
  World& world_;
  std::vector<std::string> calls_;
};

}  // namespace cavmae::testing_support
