// A World of processes on c10d: Gloo for tensors on the CPU, NCCL for those on GPUs where LibTorch has it. A
// rank that dies, hangs or cannot be reached ends the others with an error that names it. One owner;
// collectives from one thread at a time.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cavmae/dist/launch.h"
#include "cavmae/dist/world.h"

namespace cavmae {

struct GroupOptions {
  Launch launch = {};
  std::chrono::milliseconds timeout{300'000};  // within which every rank answers, else the run ends
  std::string build = {};                      // of this program; the same on all ranks
  std::function<void(const std::string& line)> say = [](const std::string&) {};  // while it waits for others
  std::chrono::milliseconds between_lines{10'000};                               // that it says
  // Ends the process, on a thread of the group, where another rank was lost and this one does nothing that
  // would tell it so until the timeout is nearly over; `why` names the lost one. Empty: nobody does.
  std::function<void(const std::string& why)> if_unheard = {};
};

class ProcessGroup final : public World {
 public:
  // Returns when all ranks are there. Throws ConfigError where two processes have one rank or different
  // builds, and Error where some do not come within the timeout.
  explicit ProcessGroup(const GroupOptions& options);
  ~ProcessGroup() override;
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  int64_t rank() const override;
  int64_t size() const override;
  void does(const std::string& what) override;
  void check_all_live() override;

  // "4 ranks on 2 hosts, Gloo over 10.0.0.1 (rank 0), started by torchrun, met at tcp://a:29500 (MASTER_ADDR
  // and ..)"
  std::string description() const;

  // How many ranks may run on the very cores of this one, itself among them.
  int64_t ranks_on_same_cores() const;

  // Before the end of a rank that has done its part; returns when all have.
  void leave();
  // Before the end of a rank that cannot go on; the others end as well and tell why.
  void abandon(const std::string& why);
  // Whether a collective has failed, so that the process cannot end in order: threads of the group may hang.
  bool failed() const;

 protected:
  // They throw Error naming the rank that is missing, its host and what it did last; then every further one
  // does.
  void do_all_reduce(const torch::Tensor& tensor) override;
  std::vector<torch::Tensor> do_all_gather(const torch::Tensor& tensor) override;
  void do_broadcast(const torch::Tensor& tensor, int64_t root) override;
  void do_wait_for_all() override;
  std::unique_ptr<PendingReduction> do_begin_all_reduce(const torch::Tensor& tensor) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cavmae
