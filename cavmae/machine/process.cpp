#include "cavmae/machine/process.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/parallel.h"
#include "cavmae/core/text.h"
#include "cavmae/machine/early_settings.h"
#include "cavmae/machine/machine.h"

// Note [Process settings]
//
// Threads. LibTorch comes up with what it takes for the number of cores, which in a container or a virtual
// machine is often 1. It gets the physical cores that affinity and the container's quota leave.
//
// malloc. A tensor of more than 128 kB is by default a mapping of its own, given back on every free; the next
// one costs a page fault and 4 kB of zeroes for every page. The thresholds are raised so that glibc keeps the
// memory. Measured on 2 cores: elementwise operations on 48 MB 89 to 17 ms, a small network's step 4,800 page
// faults to none and a tenth to a quarter faster. Where the system gives huge pages to those who ask, glibc
// is set to ask: a page fault is for 2 MB, and what a step reads in strides misses fewer translations.
//
// Waiting. A thread of GNU's OpenMP that waits at a barrier spins for some milliseconds before it sleeps.
// Where other threads want the cores too, and decoding does while training, one of the team is often
// descheduled and the others spin away the time that it needs. Measured on 2 cores with a third busy
// thread: 3.4 s a step with the default, 0.8 s with a short spin; alone, 0.14 s with either. No spin at all
// costs alone: 0.4 s.
//
// OPENBLAS_CORETYPE. A login script that exports an older processor's name halves the speed of every product.
//
// Huge pages, waiting and OPENBLAS_CORETYPE are environment variables that libraries read before main() runs,
// so a program starts itself once more, which takes as long as loading the libraries, 0.7 s. cavmae's
// launcher (apps/launcher) has set the first two before it starts the program. A user who has set
// OMP_WAIT_POLICY, GOMP_SPINCOUNT or GLIBC_TUNABLES is obeyed.
namespace cavmae {
namespace {

constexpr const char* kRestarted = "CAVMAE_RESTARTED";

std::atomic<bool> g_malloc_is_tuned{false};  // a property of the process, as malloc's own state is

bool tune_malloc() {
  constexpr int kKeepUpTo = 1 << 30;
  constexpr int kGrowBy = 64 << 20;
  // Versions of glibc differ in how large a threshold they take; without mappings the effect is the same.
  const bool kept = ::mallopt(M_MMAP_THRESHOLD, kKeepUpTo) == 1 || ::mallopt(M_MMAP_MAX, 0) == 1;
  return kept && ::mallopt(M_TRIM_THRESHOLD, INT_MAX) == 1 && ::mallopt(M_TOP_PAD, kGrowBy) == 1;
}

// Changes the environment where need be; false when it is as it should be.
bool change_environment() {
  bool changed = give_early_settings();
  const MachineInfo info = inspect_machine();
  if (is_outdated_coretype(info.openblas_coretype, info.isa))
    changed = ::unsetenv("OPENBLAS_CORETYPE") == 0 || changed;
  return changed;
}

// A program that was started again through /proc/self/exe is called "exe" in ps, top and killall.
void restore_name() {
  std::array<char, 16> name{};  // what the kernel keeps
  if (::prctl(PR_GET_NAME, name.data()) == 0 && std::string_view(name.data()) == "exe")
    ::prctl(PR_SET_NAME, ::program_invocation_short_name);
}

// Returns only when the program could not be started again, which costs speed and nothing else.
void restart() {
  std::string arguments;
  try {
    arguments = read_text("/proc/self/cmdline");
  } catch (const Error&) {
    return;
  }
  std::vector<char*> argv;
  for (size_t at = 0; at < arguments.size(); at = arguments.find('\0', at) + 1) {
    argv.push_back(arguments.data() + at);
    if (arguments.find('\0', at) == std::string::npos) break;
  }
  argv.push_back(nullptr);
  ::setenv(kRestarted, "1", 1);
  ::execv("/proc/self/exe", argv.data());
  ::unsetenv(kRestarted);
}

int64_t wanted_threads(const ProcessOptions& options) {
  if (options.num_threads > 0) return options.num_threads;
  const char* from_user = std::getenv("OMP_NUM_THREADS");
  const int64_t number = from_user == nullptr ? 0 : std::strtol(from_user, nullptr, 10);
  return number > 0 ? number : inspect_machine().usable_cores;
}

}  // namespace

bool malloc_is_tuned() {
  return g_malloc_is_tuned;
}

void tune_process(const ProcessOptions& options) {
  // LibTorch calls oneDNN as well, which reads this once.
  if (isa_is_switched()) ::setenv("ONEDNN_MAX_CPU_ISA", onednn_isa_word(usable_isa()).c_str(), 1);
  CAVMAE_CHECK_AS(ConfigError, options.num_threads >= 0 && options.num_threads <= 4096,
                  "num_threads: ", options.num_threads,
                  " is not possible; 0 (every usable core) to 4096 are");
  const bool restarted = std::getenv(kRestarted) != nullptr;
  restore_name();
  ::unsetenv(kRestarted);  // programs that this one starts decide for themselves
  if (!restarted && options.restart == Restart::allowed && change_environment()) restart();
  g_malloc_is_tuned = tune_malloc();
  // The first question on a thread makes LibTorch set that thread up: once a number is set, by a new pool of
  // threads, which spin for a while.
  static_cast<void>(at::get_num_threads());
  at::set_num_threads(static_cast<int>(wanted_threads(options)));
}

double resident_bytes() {
  std::ifstream in("/proc/self/statm");
  double total_pages = 0, resident_pages = 0;
  in >> total_pages >> resident_pages;
  return resident_pages * static_cast<double>(::sysconf(_SC_PAGE_SIZE));
}

double peak_resident_bytes() {
  struct rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

}  // namespace cavmae
