# Every third party in one place. All are Debian packages; see the table in the README.
find_package(Torch REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(spdlog REQUIRED)
find_package(fmt REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED)
find_library(DNNL_LIBRARY dnnl REQUIRED)  # its own CMake files ask for OpenCL
find_path(DNNL_INCLUDE_DIR dnnl.hpp REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(FFMPEG REQUIRED IMPORTED_TARGET libavformat libavcodec libavutil libswresample libswscale)
pkg_check_modules(FREETYPE REQUIRED IMPORTED_TARGET freetype2)

# LibTorch's own target carries compile options of the machine it was built on and, in Debian's build, libraries
# that a user of the C++ interface does not need; this one states what cavmae uses.
find_path(TORCH_API_INCLUDE_DIR torch/torch.h PATH_SUFFIXES torch/csrc/api/include
          HINTS ${TORCH_INCLUDE_DIRS} REQUIRED)
add_library(cavmae_torch INTERFACE)
target_include_directories(cavmae_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
target_link_libraries(cavmae_torch INTERFACE ${TORCH_LIBRARIES})
target_compile_features(cavmae_torch INTERFACE cxx_std_20)
# at::parallel_for() is a template: compiled without OpenMP it is a loop on one thread. ThreadSanitizer does not see how
# GNU's OpenMP waits and would report every loop.
if(NOT CAVMAE_SANITIZE MATCHES thread)
  target_link_libraries(cavmae_torch INTERFACE OpenMP::OpenMP_CXX)
endif()
