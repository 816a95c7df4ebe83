// Says which names of a pickle are refused and where in its values they are used. Private to tensorfile.
#pragma once

#include <string>
#include <vector>

#include "cavmae/tensorfile/pickle.h"

namespace cavmae {

// `refused`: at least one value of Kind::opaque whose `text` is a refused name. `root`: where the keys that
// lead to it begin; nullptr where the pickle ended before it was whole. `where` names the file.
[[noreturn]] void throw_refusal(const std::vector<const PickleValue*>& refused, const PickleValue* root,
                                const std::string& where);

}  // namespace cavmae
