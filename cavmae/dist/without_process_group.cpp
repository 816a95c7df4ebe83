// In the place of the process group where Gloo's headers were not there.
#include "cavmae/core/error.h"
#include "cavmae/dist/process_group.h"

namespace cavmae {
namespace {

[[noreturn]] void throw_absent() {
  throw ConfigError(
      "this cavmae was built without process groups and runs as one process; install libgloo-dev and build it again");
}

}  // namespace

struct ProcessGroup::State {};

ProcessGroup::ProcessGroup(const GroupOptions& /*options*/) {
  throw_absent();
}
ProcessGroup::~ProcessGroup() = default;
int64_t ProcessGroup::rank() const {
  throw_absent();
}
int64_t ProcessGroup::size() const {
  throw_absent();
}
void ProcessGroup::do_all_reduce(const torch::Tensor& /*tensor*/) {
  throw_absent();
}
std::vector<torch::Tensor> ProcessGroup::do_all_gather(const torch::Tensor& /*tensor*/) {
  throw_absent();
}
void ProcessGroup::do_broadcast(const torch::Tensor& /*tensor*/, int64_t /*root*/) {
  throw_absent();
}
void ProcessGroup::do_wait_for_all() {
  throw_absent();
}
std::unique_ptr<PendingReduction> ProcessGroup::do_begin_all_reduce(const torch::Tensor& /*tensor*/) {
  throw_absent();
}
void ProcessGroup::does(const std::string& /*what*/) {}
void ProcessGroup::check_all_live() {}
std::string ProcessGroup::description() const {
  throw_absent();
}
int64_t ProcessGroup::ranks_on_same_cores() const {
  throw_absent();
}
void ProcessGroup::leave() {}
void ProcessGroup::abandon(const std::string& /*why*/) {}
bool ProcessGroup::failed() const {
  return false;
}

}  // namespace cavmae
