// The processes that compute one run together, and what they exchange. Nothing here starts a process or knows
// a network: that is a backend's. All ranks call the same collectives in the same order, each from one
// thread; each call returns when every rank has made it. A rank that throws ends the others: their calls
// throw Error.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cavmae/core/torch.h"

namespace cavmae {

// By which rule the flag of a rank becomes that of all.
enum class Agreement { any, all };

// A reduction that was begun, as a backend keeps it.
class PendingReduction {
 public:
  virtual ~PendingReduction() = default;
  virtual void wait() = 0;
};

class World {
 public:
  // Rank 0 of 1, whose collectives copy nothing. Safe from any thread.
  static World& alone();

  virtual ~World() = default;
  virtual int64_t rank() const = 0;  // 0 to size() - 1
  virtual int64_t size() const = 0;

  // Tensors may have any shape; on every rank the same, and the same type. No gradient passes through a
  // collective.

  // Puts the sum over the ranks in the place of each rank's tensor, the same bits on every rank.
  void all_reduce(const torch::Tensor& tensor);
  // The tensors of all ranks, by rank. One's own is `tensor` itself and keeps its gradient, so that what is
  // computed of all of them has the gradient of this rank's part.
  std::vector<torch::Tensor> all_gather(const torch::Tensor& tensor);
  // Puts rank `root`'s values into each rank's tensor.
  void broadcast(const torch::Tensor& tensor, int64_t root);

  // An all_reduce() that goes on while this rank computes; the tensor, on the CPU, is nobody's until finish()
  // returns. Ranks begin reductions and other collectives in the same order.
  std::unique_ptr<PendingReduction> begin_all_reduce(const torch::Tensor& tensor);
  void finish(std::unique_ptr<PendingReduction> reduction);

  // How long the calls above kept this rank so far, waiting for other ranks included: what communication
  // costs beside computing.
  double exchange_seconds() const { return exchange_seconds_; }

  // What this rank is about to do ("reads clips"), which the others tell when they wait for it in vain.
  virtual void does(const std::string& /*what*/) {}

  // Throws Error where another rank is known to be lost. It asks nobody, so that what a rank does by itself
  // for long can call it all the while.
  virtual void check_all_live() {}

  // Returns when every rank is here.
  void barrier();
  // The same where ranks may come hours after one another, each with its own share of a job: it fails when
  // one has ended, hangs or cannot be reached, and not because one takes long.
  void wait_for_all();

  // One decision of all ranks from each rank's own; a barrier too. `Flags` is a struct of bools and counts
  // whose visit(flags, v) calls v(flag, Agreement) for each flag and v(count), which becomes the ranks' sum,
  // for each int64_t.
  template <class Flags>
  Flags agree(Flags flags);

 protected:
  virtual void do_all_reduce(const torch::Tensor& tensor) = 0;
  virtual std::vector<torch::Tensor> do_all_gather(const torch::Tensor& tensor) = 0;
  virtual void do_broadcast(const torch::Tensor& tensor, int64_t root) = 0;
  virtual void do_wait_for_all() = 0;
  // Null: it is done.
  virtual std::unique_ptr<PendingReduction> do_begin_all_reduce(const torch::Tensor& tensor) {
    do_all_reduce(tensor);
    return nullptr;
  }

 private:
  double exchange_seconds_ = 0.0;

  // Collects a struct's fields, then puts the sums over the ranks in their places.
  class Sums;
};

// The rows of all ranks one after another, by rank; ranks may have different numbers of them. One's own rows
// keep their gradient. rows: [B, ..] -> [sum of B, ..]; alone: `rows` itself.
torch::Tensor gather_rows(World& world, const torch::Tensor& rows);

// The text of each rank, by rank.
std::vector<std::string> gather_texts(World& world, const std::string& text);

class World::Sums {
 public:
  void operator()(const bool& flag, Agreement /*rule*/) { values_.push_back(flag ? 1 : 0); }
  void operator()(const int64_t& count) { values_.push_back(count); }

  void over_ranks(World& world) {
    const torch::Tensor sums = torch::tensor(values_, torch::kInt64);
    world.all_reduce(sums);
    values_.assign(sums.data_ptr<int64_t>(), sums.data_ptr<int64_t>() + sums.numel());
    ranks_ = world.size();
  }
  void put(bool& flag, Agreement rule) { flag = values_[next_++] >= (rule == Agreement::any ? 1 : ranks_); }
  void put(int64_t& count) { count = values_[next_++]; }

 private:
  std::vector<int64_t> values_;
  size_t next_ = 0;
  int64_t ranks_ = 1;
};

template <class Flags>
Flags World::agree(Flags flags) {
  if (size() == 1) return flags;
  Sums sums;
  Flags::visit(flags, [&](auto& field, auto... rule) { sums(field, rule...); });
  sums.over_ranks(*this);
  Flags::visit(flags, [&](auto& field, auto... rule) { sums.put(field, rule...); });
  return flags;
}

}  // namespace cavmae
