// Tells models apart by what they compute with.
#pragma once

#include <string>

#include "cavmae/models/cav_mae.h"

namespace cavmae {

// 16 hex digits, of each parameter's name, shape and numbers; the same on every machine and device. Reads all
// parameters once.
std::string parameters_hash(CavMae network);

}  // namespace cavmae
