// What benchmarks with a main() of their own share: their flags, and that an error becomes a line and exit
// status 1.
#pragma once

#include <exception>
#include <iostream>
#include <string>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"

namespace cavmae {

// "--NAME VALUE" for the options of Settings. Throws ConfigError that names what is there.
template <class Settings>
Settings parse_flags(int argc, char** argv) {
  Settings settings;
  std::string known;
  Settings::visit(settings, [&](const char* name, const auto&, const char*) {
    known += (known.empty() ? "--" : ", --") + std::string(name);
  });
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    CAVMAE_CHECK_AS(ConfigError, flag.starts_with("--") && set_option(settings, flag.substr(2), argv[i + 1]),
                    "unknown flag '", flag, "'; there are ", known);
  }
  CAVMAE_CHECK_AS(ConfigError, argc % 2 == 1, "'", argv[argc - 1], "' needs a value");
  return settings;
}

inline int benchmark_main(int (*run)(int, char**), int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << argv[0] << ": " << error.what() << "\n";
    return 1;
  }
}

}  // namespace cavmae
