// Where programs keep what they can make again. A free function; it reads the environment.
#pragma once

#include <filesystem>

namespace cavmae {

// $XDG_CACHE_HOME/cavmae, else ~/.cache/cavmae, which need not exist; empty where the environment names
// neither.
std::filesystem::path user_cache_folder();

}  // namespace cavmae
