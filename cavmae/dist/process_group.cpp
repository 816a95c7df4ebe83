#include "cavmae/dist/process_group.h"

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#if defined(USE_C10D_NCCL) && __has_include(<nccl.h>)
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#define CAVMAE_HAS_NCCL
#endif

#include "cavmae/core/error.h"
#include "cavmae/dist/meeting.h"
#include "cavmae/dist/rank_watch.h"

namespace cavmae {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;
#if TORCH_VERSION_MAJOR >= 2
using Backend = c10d::Backend;
#else
using Backend = c10d::ProcessGroup;
#endif
using WorkPointer = c10::intrusive_ptr<c10d::Work>;

// Gloo's own limit leaves time to find out who is to blame.
Milliseconds patience_of(Milliseconds timeout) {
  return timeout - RankWatch::time_to_tell(timeout);
}

c10::intrusive_ptr<Backend> make_gloo(const Met& met, const GroupOptions& options,
                                      const std::string& address) {
  auto gloo = c10d::ProcessGroupGloo::Options::create(patience_of(options.timeout));
  const char* const interface = std::getenv("GLOO_SOCKET_IFNAME");
  gloo->devices.push_back(interface != nullptr && *interface != '\0'
                              ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                              : c10d::ProcessGroupGloo::createDeviceForHostname(address));
  const Launch& launch = options.launch;
  return c10::make_intrusive<c10d::ProcessGroupGloo>(
      c10::make_intrusive<c10d::PrefixStore>("gloo", met.store), static_cast<int>(launch.rank),
      static_cast<int>(launch.size), gloo);
}

#ifdef CAVMAE_HAS_NCCL
// Its own limit is beyond ours, which names who is to blame.
c10::intrusive_ptr<Backend> make_nccl(const c10::intrusive_ptr<c10d::Store>& store,
                                      const GroupOptions& options) {
  auto nccl = c10d::ProcessGroupNCCL::Options::create();
  nccl->timeout = 2 * options.timeout;
  const Launch& launch = options.launch;
  return c10::make_intrusive<c10d::ProcessGroupNCCL>(c10::make_intrusive<c10d::PrefixStore>("nccl", store),
                                                     static_cast<int>(launch.rank),
                                                     static_cast<int>(launch.size), nccl);
}

// NCCL's own watch would abort the process before it is known which rank was lost.
void leave_errors_of_nccl_to_us() {
  for (const char* name : {"TORCH_NCCL_ASYNC_ERROR_HANDLING", "NCCL_ASYNC_ERROR_HANDLING"})
    ::setenv(name, "0", /*overwrite=*/0);
}
#endif

std::string first_line_of(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

// The store would remove it when all ranks have left it in order.
void remove_meeting_file(const Launch& launch) {
  std::error_code ignored;
  if (launch.rank == 0) std::filesystem::remove(launch.place.file, ignored);
}

// Where a collective has come to, told by a thread of the backend.
struct Completion {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  std::string error = {};
};

}  // namespace

struct ProcessGroup::State {
  explicit State(const GroupOptions& group) : options(group) {}

  GroupOptions options;
  std::vector<RankInfo> ranks;
  std::string address;
  c10::intrusive_ptr<Backend> gloo, nccl;  // the latter is made for the first tensor on a GPU
  // NCCL's own, since ranks come to what it asks as late as to a collective; null where no GPU or no NCCL is.
  c10::intrusive_ptr<c10d::Store> nccl_store;
  std::unique_ptr<RankWatch> watch;
  std::string failure;

  void begin();
  // On the CPU for Gloo.
  torch::Tensor fit_for_backend(const torch::Tensor& tensor) const {
    return (tensor.is_cpu() || nccl_store ? tensor.detach() : tensor.detach().cpu()).contiguous();
  }
  Backend& backend_of(const torch::Tensor& tensor);
  template <class Start>
  WorkPointer begin_work(Start&& start);
  // `start` gives the backend of `tensor` its work.
  template <class Start>
  void run(const torch::Tensor& tensor, Start&& start) {
    const WorkPointer work = begin_work([&] { return std::forward<Start>(start)(backend_of(tensor)); });
    tensor.is_cpu() ? wait(work) : wait_for_gpu(work);
  }
  void wait(const WorkPointer& work);
  void wait_for_gpu(const WorkPointer& work);
  [[noreturn]] void fail(const std::string& reason);
};

void ProcessGroup::State::begin() {
  const Launch& launch = options.launch;
  const MeetingOptions meeting{.launch = launch,
                               .timeout = options.timeout,
                               .build = options.build,
                               .say = options.say,
                               .between_lines = options.between_lines};
#ifdef CAVMAE_HAS_NCCL
  if (at::hasCUDA()) leave_errors_of_nccl_to_us();
#endif
  Met met = meet(meeting);
  ranks = met.ranks;
  address = address_of(ranks, launch.rank);
  try {
    gloo = make_gloo(met, options, address);
#ifdef CAVMAE_HAS_NCCL
    if (at::hasCUDA()) nccl_store = open_store_again(meeting);
#endif
  } catch (const std::exception& e) {
    throw Error(concat("rank ", launch.rank, " cannot reach the others from ", address, ": ",
                       first_line_of(e.what()),
                       "; set GLOO_SOCKET_IFNAME to the network interface that joins the hosts"));
  }
  WatchOptions watched{.timeout = options.timeout};
  if (options.if_unheard)
    watched.if_unheard = [launch, end = options.if_unheard](const std::string& why) {
      remove_meeting_file(launch);
      end(why);
    };
  watch = std::make_unique<RankWatch>(std::move(met), launch.rank, watched);
}

void ProcessGroup::State::fail(const std::string& reason) {
  if (failure.empty()) failure = watch->culprit(reason);
  throw Error(failure);
}

Backend& ProcessGroup::State::backend_of(const torch::Tensor& tensor) {
  if (tensor.is_cpu()) return *gloo;
#ifdef CAVMAE_HAS_NCCL
  if (!nccl) nccl = make_nccl(nccl_store, options);
#endif
  return *nccl;
}

template <class Start>
WorkPointer ProcessGroup::State::begin_work(Start&& start) {
  if (!failure.empty()) throw Error(failure);
  watch->comes_to_collective();
  try {
    return start();
  } catch (const std::exception& e) {
    fail(first_line_of(e.what()));
  }
}

// Ends also where another rank has told who is to blame, which this rank's own connections may not show.
void ProcessGroup::State::wait(const WorkPointer& work) {
  const auto completion = std::make_shared<Completion>();
  work->getFuture()->addCallback([completion](c10::ivalue::Future& future) {
    const std::lock_guard lock(completion->mutex);
    completion->done = true;
    if (future.hasError()) completion->error = first_line_of(future.tryRetrieveErrorMessage());
    completion->changed.notify_all();
  });
  std::unique_lock lock(completion->mutex);
  while (!completion->changed.wait_for(lock, Milliseconds(100), [&] { return completion->done; })) {
    lock.unlock();
    if (const std::string told = watch->told(); !told.empty()) fail(told);
    lock.lock();
  }
  if (!completion->error.empty()) fail(completion->error);
}

// NCCL's future is complete when its kernel is launched, and a kernel waits without end for a rank that is
// lost: this returns when the GPU has done it, so that the limit and what was told hold here too. What the
// calling thread's stream does next comes after it.
void ProcessGroup::State::wait_for_gpu(const WorkPointer& work) {
  const Milliseconds patience = patience_of(options.timeout);
  const auto end = Clock::now() + patience;
  std::chrono::microseconds pause(20);
  std::string reason;
  try {
    while (!work->isCompleted() && reason.empty()) {
      if (const std::string told = watch->told(); !told.empty()) fail(told);
      if (Clock::now() > end) reason = concat("NCCL has not done within ", patience.count() / 1000, " s");
      std::this_thread::sleep_for(pause);
      pause = std::min(2 * pause, std::chrono::microseconds(1000));
    }
    if (const std::exception_ptr error = work->exception()) std::rethrow_exception(error);
    if (reason.empty()) work->synchronize();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& e) {
    reason = first_line_of(e.what());
  }
  if (!reason.empty()) fail(reason);
}

ProcessGroup::ProcessGroup(const GroupOptions& options) : state_(std::make_unique<State>(options)) {
  CAVMAE_CHECK_AS(ConfigError, options.timeout >= Milliseconds(1000), "--dist-timeout is ",
                  std::chrono::duration<double>(options.timeout).count(), " s; it must be at least 1");
  state_->begin();
}

ProcessGroup::~ProcessGroup() {
  // A file's store would take its end for that of a rank.
  if (state_->nccl_store) (void)c10::intrusive_ptr<c10d::Store>(state_->nccl_store).release();
  if (!failed()) return;
  // Their threads wait for ranks that are gone, and their destructors would wait for the threads.
  state_->gloo.release();
  if (state_->nccl) state_->nccl.release();
}

int64_t ProcessGroup::rank() const {
  return state_->options.launch.rank;
}

int64_t ProcessGroup::size() const {
  return state_->options.launch.size;
}

void ProcessGroup::do_all_reduce(const torch::Tensor& tensor) {
  if (tensor.numel() == 0) return;
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> tensors = {state_->fit_for_backend(tensor)};
  state_->run(tensors[0], [&](Backend& backend) { return backend.allreduce(tensors); });
  if (!tensors[0].is_alias_of(tensor)) tensor.detach().copy_(tensors[0]);
}

std::unique_ptr<PendingReduction> ProcessGroup::do_begin_all_reduce(const torch::Tensor& tensor) {
  struct Pending final : PendingReduction {
    Pending(State& of_group, WorkPointer begun) : state(of_group), work(std::move(begun)) {}
    void wait() override {
      if (!state.failure.empty()) throw Error(state.failure);
      state.wait(work);
    }
    State& state;
    WorkPointer work;
  };
  CAVMAE_CHECK(tensor.is_cpu() && tensor.is_contiguous(), "a reduction that goes on takes memory on the CPU");
  if (tensor.numel() == 0) return nullptr;
  std::vector<torch::Tensor> tensors = {tensor.detach()};
  return std::make_unique<Pending>(*state_,
                                   state_->begin_work([&] { return state_->gloo->allreduce(tensors); }));
}

std::vector<torch::Tensor> ProcessGroup::do_all_gather(const torch::Tensor& tensor) {
  std::vector<torch::Tensor> all(static_cast<size_t>(size()));
  {
    const torch::NoGradGuard no_grad;
    std::vector<torch::Tensor> own = {state_->fit_for_backend(tensor)};
    for (torch::Tensor& of_rank : all) of_rank = at::empty_like(own[0]);
    std::vector<std::vector<torch::Tensor>> gathered = {all};
    if (tensor.numel() > 0)
      state_->run(own[0], [&](Backend& backend) { return backend.allgather(gathered, own); });
    for (torch::Tensor& of_rank : all) of_rank = of_rank.to(tensor.device());
  }
  all[static_cast<size_t>(rank())] = tensor;
  return all;
}

void ProcessGroup::check_all_live() {
  if (!state_->failure.empty()) throw Error(state_->failure);
  if (const std::string told = state_->watch->told(); !told.empty()) state_->fail(told);
}

void ProcessGroup::do_wait_for_all() {
  check_all_live();
  state_->watch->arrive();
  while (!state_->watch->all_are_here()) {
    check_all_live();
    std::this_thread::sleep_for(Milliseconds(50));
  }
}

void ProcessGroup::do_broadcast(const torch::Tensor& tensor, int64_t root) {
  if (tensor.numel() == 0) return;
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> tensors = {state_->fit_for_backend(tensor)};
  c10d::BroadcastOptions from;
  from.rootRank = static_cast<int>(root);
  state_->run(tensors[0], [&](Backend& backend) { return backend.broadcast(tensors, from); });
  if (!tensors[0].is_alias_of(tensor)) tensor.detach().copy_(tensors[0]);
}

void ProcessGroup::does(const std::string& what) {
  state_->watch->does(what);
}

std::string ProcessGroup::description() const {
  std::set<std::string> hosts;
  for (const RankInfo& of_rank : state_->ranks) hosts.insert(of_rank.host);
  const char* const interface = std::getenv("GLOO_SOCKET_IFNAME");
  const Launch& launch = state_->options.launch;
  return concat(size(), " ranks on ", hosts.size(), hosts.size() == 1 ? " host, " : " hosts, ",
                state_->nccl_store ? "NCCL between GPUs and Gloo" : "Gloo", " over ",
                interface != nullptr && *interface != '\0' ? interface : state_->address.c_str(), " (rank ",
                rank(), "), started by ", launch.launcher, ", met at ", launch.place.url(), " (",
                launch.place.found_by, ")");
}

int64_t ProcessGroup::ranks_on_same_cores() const {
  return ranks_on_cores_of(state_->ranks, rank());
}

void ProcessGroup::leave() {
  if (failed()) return;
  does("has done its part");
  barrier();
  state_->watch->leave();
}

void ProcessGroup::abandon(const std::string& why) {
  if (failed()) {
    state_->watch->give_up();
  } else {
    state_->watch->abandon(first_line_of(why));
    state_->failure = why;
  }
  remove_meeting_file(state_->options.launch);
}

bool ProcessGroup::failed() const {
  return !state_->failure.empty();
}

}  // namespace cavmae
