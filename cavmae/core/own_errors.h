// Errors of the libraries below as the program's own, for what others call. A free function.
#pragma once

#include <exception>
#include <new>

#include "cavmae/core/error.h"
#include "cavmae/core/torch.h"

namespace cavmae {

// Calls `f`. What it throws leaves as an Error with the same message, but for want of memory.
template <class F>
auto with_own_errors(F&& f) {
  try {
    return f();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const c10::Error& e) {
    throw Error(e.what_without_backtrace());
  } catch (const std::exception& e) {
    throw Error(e.what());
  }
}

}  // namespace cavmae
