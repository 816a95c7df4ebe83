# LibTorch, as the target cavmae_torch. By its own CMake package (-DTorch_DIR=.../share/cmake/Torch), or, with
# -DCAVMAE_TORCH_PREFIX=.../site-packages/torch, by its folder alone: the package of a LibTorch with CUDA asks for CUDA's
# compiler, of which cavmae, that has no CUDA sources and includes no CUDA header, has no need.
set(CAVMAE_TORCH_PREFIX "" CACHE PATH "Folder with LibTorch's include/ and lib/, instead of its CMake package")
set(CAVMAE_TORCH_CXX11_ABI 1 CACHE STRING "_GLIBCXX_USE_CXX11_ABI that the LibTorch in CAVMAE_TORCH_PREFIX was built with")
if(CAVMAE_TORCH_PREFIX)
  set(TORCH_INCLUDE_DIRS ${CAVMAE_TORCH_PREFIX}/include ${CAVMAE_TORCH_PREFIX}/include/torch/csrc/api/include)
  set(TORCH_LIBRARIES "")
  foreach(name torch torch_cuda torch_cpu c10_cuda c10)
    find_library(CAVMAE_LIBRARY_${name} ${name} PATHS ${CAVMAE_TORCH_PREFIX}/lib NO_DEFAULT_PATH)
    if(CAVMAE_LIBRARY_${name})
      list(APPEND TORCH_LIBRARIES ${CAVMAE_LIBRARY_${name}})
    elseif(NOT name MATCHES cuda)
      message(FATAL_ERROR "${CAVMAE_TORCH_PREFIX}/lib has no lib${name}.so; is it the folder of a LibTorch?")
    endif()
  endforeach()
  # Nothing refers to the libraries of CUDA's operators; loaded, they register themselves. What those need in turn they
  # find by themselves, from their own places.
  list(PREPEND TORCH_LIBRARIES -Wl,--no-as-needed)
  list(APPEND TORCH_LIBRARIES -Wl,--as-needed -Wl,--unresolved-symbols=ignore-in-shared-libs
       -Wl,-rpath,${CAVMAE_TORCH_PREFIX}/lib)
  set(TORCH_CXX_FLAGS -D_GLIBCXX_USE_CXX11_ABI=${CAVMAE_TORCH_CXX11_ABI})
else()
  find_package(Torch REQUIRED)
endif()

# LibTorch's own target carries compile options of the machine it was built on and, in Debian's build, libraries
# that a user of the C++ interface does not need; this one states what cavmae uses.
find_path(TORCH_API_INCLUDE_DIR torch/torch.h PATH_SUFFIXES torch/csrc/api/include
          HINTS ${TORCH_INCLUDE_DIRS} REQUIRED)
# What is compiled without LibTorch has its std::string all the same.
add_library(cavmae_abi INTERFACE)
string(REGEX MATCH "-D_GLIBCXX_USE_CXX11_ABI=[01]" abi_option "${TORCH_CXX_FLAGS}")
target_compile_options(cavmae_abi INTERFACE ${abi_option})
add_library(cavmae_torch INTERFACE)
target_include_directories(cavmae_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
target_link_libraries(cavmae_torch INTERFACE ${TORCH_LIBRARIES})
target_compile_features(cavmae_torch INTERFACE cxx_std_20)
if(CAVMAE_TORCH_PREFIX)  # the package's own target carries them
  target_compile_options(cavmae_torch INTERFACE ${TORCH_CXX_FLAGS})
endif()

# PyTorch's packages before 2.6 have GNU's older std::string, as no other library of today's distributions: those that
# are compiled have to be taken as headers then, and GoogleTest from its sources.
set(CAVMAE_OLD_ABI OFF)
if(TORCH_CXX_FLAGS MATCHES "_GLIBCXX_USE_CXX11_ABI=0")
  set(CAVMAE_OLD_ABI ON)
endif()
# at::parallel_for() is a template: compiled without OpenMP it is a loop on one thread. ThreadSanitizer does not see how
# GNU's OpenMP waits and would report every loop.
if(NOT CAVMAE_SANITIZE MATCHES thread AND NOT CAVMAE_FUZZ)
  target_link_libraries(cavmae_torch INTERFACE OpenMP::OpenMP_CXX)
endif()

# For programs whose start counts. The loader looks a name up in one library after another, as they come. Debian's LibTorch
# brings OpenCV and that GDAL, the 190th of 290, which looks 48,000 names up that are its own: a program that names it first
# starts in 0.50 s instead of 0.54.
find_library(CAVMAE_TORCH_CPU torch_cpu HINTS ${TORCH_INSTALL_PREFIX}/lib)
set(CAVMAE_FIRST_LIBRARY "")
if(CAVMAE_TORCH_CPU)
  execute_process(COMMAND ldd ${CAVMAE_TORCH_CPU} OUTPUT_VARIABLE brought ERROR_QUIET)
  if(brought MATCHES "=> (/[^ \n]*/libgdal\\.so[^ \n]*)")
    set(CAVMAE_FIRST_LIBRARY -Wl,--push-state,--no-as-needed,${CMAKE_MATCH_1},--pop-state)
  endif()
endif()
