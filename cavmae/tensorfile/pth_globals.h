// The classes and functions that a .pth may name. Private to tensorfile; safe from any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cavmae/core/torch.h"
#include "cavmae/tensorfile/pickle.h"

namespace cavmae {

// Note [Names in a .pth]: none of them is ever imported or called. Recorded are those that tensors and state
// dicts are made of. Opaque are those of plain values that training programs put beside the network: numbers,
// paths, dates and counters of Python and numpy, options, and the kinds of tensor that are not read. Their
// values are passed over. Every other name is refused, so that a file that was made to run something is told
// from one that was not.
GlobalUse use_of_global(const std::string& name);

// The type of the elements of "torch.FloatStorage" (or "torch.cuda.FloatStorage", as some older files have
// it).
std::optional<torch::ScalarType> storage_type(std::string_view name);

}  // namespace cavmae
