#include "cavmae/decode/confinement.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

void set_limit(int what, int64_t value) {
  const rlimit limit{.rlim_cur = static_cast<rlim_t>(value), .rlim_max = static_cast<rlim_t>(value)};
  CAVMAE_CHECK(::setrlimit(static_cast<__rlimit_resource>(what), &limit) == 0,
               "the decoder cannot limit itself: ", std::strerror(errno));
}

// AddressSanitizer and ThreadSanitizer reserve terabytes of addresses for their shadow.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kAddressesCanBeLimited = false;
#else
constexpr bool kAddressesCanBeLimited = true;
#endif

// All that computing, memory and descriptors that are open need. recvmsg() and sendmsg() are those of the
// socket to the server: no other can be made.
constexpr std::array kAllowed = {SCMP_SYS(read),
                                 SCMP_SYS(pread64),
                                 SCMP_SYS(readv),
                                 SCMP_SYS(write),
                                 SCMP_SYS(writev),
                                 SCMP_SYS(lseek),
                                 SCMP_SYS(fstat),
                                 SCMP_SYS(close),
                                 SCMP_SYS(recvmsg),
                                 SCMP_SYS(recvfrom),
                                 SCMP_SYS(sendmsg),
                                 SCMP_SYS(sendto),
                                 SCMP_SYS(poll),
                                 SCMP_SYS(ppoll),
                                 SCMP_SYS(brk),
                                 SCMP_SYS(munmap),
                                 SCMP_SYS(mremap),
                                 SCMP_SYS(madvise),
                                 SCMP_SYS(futex),
                                 SCMP_SYS(sched_yield),
                                 SCMP_SYS(sched_getaffinity),
                                 SCMP_SYS(clock_gettime),
                                 SCMP_SYS(clock_nanosleep),
                                 SCMP_SYS(nanosleep),
                                 SCMP_SYS(gettimeofday),
                                 SCMP_SYS(getpid),
                                 SCMP_SYS(gettid),
                                 SCMP_SYS(getrandom),
                                 SCMP_SYS(getrusage),
                                 SCMP_SYS(sysinfo),
                                 SCMP_SYS(rt_sigaction),
                                 SCMP_SYS(rt_sigprocmask),
                                 SCMP_SYS(rt_sigreturn),
                                 SCMP_SYS(sigaltstack),
                                 SCMP_SYS(set_robust_list),
                                 SCMP_SYS(rseq),
                                 SCMP_SYS(restart_syscall),
                                 SCMP_SYS(exit),
                                 SCMP_SYS(exit_group)};

class Filter {
 public:
  Filter() : context_(seccomp_init(SCMP_ACT_ERRNO(EPERM))) {
    CAVMAE_CHECK(context_ != nullptr, "the decoder cannot confine itself: no seccomp");
  }
  ~Filter() { seccomp_release(context_); }
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;

  void allow(int call) { check(seccomp_rule_add(context_, SCMP_ACT_ALLOW, call, 0)); }
  // A thread of this process, and no process: the C library takes clone() where clone3() is not known, whose
  // flags a filter cannot see.
  void allow_threads() {
    check(seccomp_rule_add(context_, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                           SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)));
    check(seccomp_rule_add(context_, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0));
  }
  // Memory that is no code, and the state of an open descriptor.
  void allow_data() {
    for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)})
      check(seccomp_rule_add(context_, SCMP_ACT_ALLOW, call, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)));
    check(seccomp_rule_add(context_, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
                           SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH)));
  }
  void load() { check(seccomp_load(context_)); }

 private:
  static void check(int result) {
    CAVMAE_CHECK(result == 0, "the decoder cannot confine itself: ", std::strerror(-result));
  }
  scmp_filter_ctx context_;
};

}  // namespace

void confine_process(const ConfinementOptions& options) {
  set_limit(RLIMIT_CORE, 0);
  set_limit(RLIMIT_FSIZE, 0);
  set_limit(RLIMIT_NOFILE, options.max_open_files);
  if (kAddressesCanBeLimited) set_limit(RLIMIT_AS, options.max_memory_bytes);
  ::prctl(PR_SET_DUMPABLE, 0);
  CAVMAE_CHECK(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0,
               "the decoder cannot give up privileges: ", std::strerror(errno));
  Filter filter;
  for (const int call : kAllowed) filter.allow(call);
  filter.allow_threads();
  filter.allow_data();
  filter.load();
}

std::string remaining_freedoms() {
  std::string found;
  const auto add = [&](bool can, const char* what) {
    if (can) found += (found.empty() ? "" : ", ") + std::string(what);
  };
  const auto closed = [](int descriptor) {
    if (descriptor >= 0) ::close(descriptor);
    return descriptor >= 0;
  };
  add(closed(::open("/proc/self/status", O_RDONLY | O_CLOEXEC)), "opens files");
  add(closed(::open("/tmp", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600)), "makes files");
  add(closed(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), "makes sockets");
  add(closed(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), "makes local sockets");
  add(::kill(::getppid(), 0) == 0, "sends signals");
  const long child = ::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (child == 0) ::_exit(0);
  add(child > 0, "makes processes");
  char* const nothing[] = {nullptr};
  errno = 0;
  ::execve("/", nothing, nothing);  // a folder: EACCES where programs may be started
  add(errno != EPERM, "starts programs");
  return found;
}

}  // namespace cavmae
