# cavmae_discover_suites(target [TIMEOUT seconds] [CUT suite...]): one ctest entry a suite of a GoogleTest program, called
# FOLDER.SUITE (of target test_FOLDER), read from the program itself whenever ctest starts.
# The suites named in CUT are long: each of their tests is an entry of its own, FOLDER.SUITE.TEST, so that `ctest -j`
# spreads them. A cut suite of parameters or types is named as in the source, without its instantiation.
set(CAVMAE_LIST_SUITES ${CMAKE_CURRENT_LIST_DIR}/ListSuites.cmake)

function(cavmae_discover_suites target)
  cmake_parse_arguments(ARG "" "TIMEOUT" "CUT" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 900)
  endif()
  string(REGEX REPLACE "^test_" "" folder ${target})
  set(script ${CMAKE_CURRENT_BINARY_DIR}/${target}_suites)
  # ctest runs this; a build type is chosen at configure time, so the program has one place.
  file(GENERATE OUTPUT ${script}.cmake CONTENT
"include(\"${CAVMAE_LIST_SUITES}\")
cavmae_add_suites(\"${folder}\" \"$<TARGET_FILE:${target}>\" \"${script}_found.cmake\" ${ARG_TIMEOUT} \"${ARG_CUT}\")
")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${script}.cmake)
endfunction()
