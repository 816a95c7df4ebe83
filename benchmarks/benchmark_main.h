// The end of every benchmark that has its own main(): an error becomes a line and exit status 1.
#pragma once

#include <exception>
#include <iostream>

namespace cavmae {

inline int benchmark_main(int (*run)(int, char**), int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << argv[0] << ": " << error.what() << "\n";
    return 1;
  }
}

}  // namespace cavmae
