// What a loader's worker thread does with LibTorch's own threads. Safe from any thread.
#pragma once

namespace cavmae {

// LibTorch's operators that this thread calls run on this thread alone from now on. Other threads keep
// their setting; without this, every worker would bring a team of as many threads as the machine has cores.
void keep_torch_on_this_thread();

}  // namespace cavmae
