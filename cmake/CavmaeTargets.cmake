# One static library a folder of cavmae/, its edges those of tools/layers.txt.

add_library(cavmae_warnings INTERFACE)
target_compile_options(cavmae_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow=local -Wnon-virtual-dtor
                       $<$<BOOL:${CAVMAE_WERROR}>:-Werror>)
if(CMAKE_UNITY_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  # Sees every source as a header, and would have its types out of anonymous namespaces.
  target_compile_options(cavmae_warnings INTERFACE -Wno-subobject-linkage)
endif()

if(CAVMAE_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  target_compile_options(cavmae_warnings INTERFACE -Wno-maybe-uninitialized)  # is often wrong in instrumented code
endif()

if(CAVMAE_FUZZ)
  # What is wrong ends the program; the macro is the one that libraries know fuzzing by (core/fuzzing.h). Without a time
  # in it, ccache may keep what was compiled with a precompiled header.
  add_compile_options(-fno-sanitize-recover=all -Wno-unknown-pragmas "SHELL:-Xclang -fno-pch-timestamp")
  add_compile_definitions(FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION)
endif()

if(CAVMAE_SANITIZE)
  add_compile_options(-fsanitize=${CAVMAE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize=vptr)
  add_link_options(-fsanitize=${CAVMAE_SANITIZE})
endif()

# The precompiled header of LibTorch, built once and used by every target of the program.
function(cavmae_use_torch_pch target)
  if(NOT TARGET cavmae_pch)
    file(WRITE ${PROJECT_BINARY_DIR}/pch/pch.cpp "// Carrier of the precompiled header.\n")
    add_library(cavmae_pch OBJECT ${PROJECT_BINARY_DIR}/pch/pch.cpp)
    target_compile_options(cavmae_pch PRIVATE -fpch-preprocess)
    target_link_libraries(cavmae_pch PRIVATE cavmae_torch cavmae_warnings)
    target_include_directories(cavmae_pch PRIVATE ${PROJECT_SOURCE_DIR})
    target_precompile_headers(cavmae_pch PRIVATE <cavmae/core/torch.h>)
  endif()
  target_compile_options(${target} PRIVATE -fpch-preprocess -fPIC)
  target_precompile_headers(${target} REUSE_FROM cavmae_pch)
endfunction()

# cavmae_library(name [WITHOUT_TORCH] [WITHOUT_PCH] [DEPS folder...] [LIBRARIES target...] [PRIVATE_LIBRARIES target...] [NEED_MEDIA regex] [LEAVE_OUT regex]):
# the library of cavmae/<name>. WITHOUT_TORCH is for folders that know nothing of LibTorch, so that cavmae-decode can do
# without it (what of core's headers includes it is linked by those that use them), WITHOUT_PCH for those where few files include it, NEED_MEDIA names the sources
# that are left out of a build without media libraries, LEAVE_OUT those that this build has no use for.
function(cavmae_library name)
  cmake_parse_arguments(ARG "WITHOUT_TORCH;WITHOUT_PCH" "NEED_MEDIA;LEAVE_OUT" "DEPS;LIBRARIES;PRIVATE_LIBRARIES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cpp)
  cavmae_choose_media_sources(sources "${ARG_NEED_MEDIA}")
  if(ARG_LEAVE_OUT)
    list(FILTER sources EXCLUDE REGEX "${ARG_LEAVE_OUT}")
  endif()
  if(NOT sources)
    return()
  endif()
  set(target cavmae_${name})
  add_library(${target} STATIC ${sources})
  add_library(cavmae::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
                                              $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(${target} PUBLIC cxx_std_20)
  if(ARG_WITHOUT_TORCH)
    set(torch cavmae_abi)
  else()
    set(torch cavmae_torch)
  endif()
  target_link_libraries(${target} PUBLIC ${torch} ${ARG_LIBRARIES} PRIVATE $<BUILD_INTERFACE:cavmae_warnings>
                                         ${ARG_PRIVATE_LIBRARIES})
  foreach(dep ${ARG_DEPS})
    if(NOT TARGET cavmae_${dep} AND NOT CAVMAE_MEDIA)  # nothing of it is left
      continue()
    endif()
    target_link_libraries(${target} PUBLIC cavmae_${dep})
  endforeach()
  if(NOT ARG_WITHOUT_PCH AND NOT ARG_WITHOUT_TORCH)
    cavmae_use_torch_pch(${target})
  endif()
  set_property(GLOBAL APPEND PROPERTY CAVMAE_LIBRARIES ${target})
endfunction()
