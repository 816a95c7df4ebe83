// Between the two halves of machine.h. Private to core.
#pragma once

namespace cavmae {

// Whether tune_process() told malloc to keep what is freed.
bool malloc_is_tuned();

}  // namespace cavmae
