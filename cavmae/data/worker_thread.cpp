#include "cavmae/data/worker_thread.h"

#include <dlfcn.h>

#include "cavmae/core/parallel.h"
#include "cavmae/core/torch.h"

namespace cavmae {

void keep_torch_on_this_thread() {
  // at::set_num_threads() would change the setting of the whole program. OpenMP's own call changes the
  // calling thread's, once LibTorch has initialised it, which the first line makes it do. It is looked up at
  // run time because it must be that of the OpenMP library that LibTorch brings.
  static_cast<void>(at::get_num_threads());
  using SetNumThreads = void (*)(int);
  static const auto set_num_threads =
      reinterpret_cast<SetNumThreads>(::dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
  if (set_num_threads != nullptr) set_num_threads(1);
}

}  // namespace cavmae
