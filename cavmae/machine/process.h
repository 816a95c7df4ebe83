// Between the two halves of machine.h. Private to core.
#pragma once

namespace cavmae {

// Whether tune_process() made malloc keep what is freed.
bool malloc_is_tuned();

}  // namespace cavmae
