// What process.cpp tells machine.cpp about the process. Private to machine.
#pragma once

namespace cavmae {

// Whether tune_process() made malloc keep what is freed.
bool malloc_is_tuned();

}  // namespace cavmae
