# The entries that cmake/ListSuites.cmake makes of a listing: run as `cmake -P`, which fails with what differs.
cmake_minimum_required(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/../cmake/ListSuites.cmake)

set(listing "Running main() from gtest_main.cc
Plain.
  First
  Second
Long.
  First
  Second
Typed/0.  # TypeParam = float
  Works
Typed/1.  # TypeParam = double
  Works
Files/Parameters.
  Reads/a  # GetParam() = \"a b\"
  Reads/b  # GetParam() = 0.5
Files/LongParameters.
  Reads/a
  Reads/b
Child.
  DISABLED_Runs
Partly.
  DISABLED_Runs
  Stays
")

function(expect cut)
  cavmae_entries_of(entries "${listing}" "${cut}")
  if(NOT "${entries}" STREQUAL "${ARGN}")
    message(FATAL_ERROR "expected ${ARGN}\n   found ${entries}")
  endif()
endfunction()

set(unchanged "Typed/0|Typed/0.*" "Typed/1|Typed/1.*" "Files/Parameters|Files/Parameters.*")
expect("Long;LongParameters" "Plain|Plain.*" "Long.First|Long.First" "Long.Second|Long.Second" ${unchanged}
       "Files/LongParameters.Reads/a|Files/LongParameters.Reads/a"
       "Files/LongParameters.Reads/b|Files/LongParameters.Reads/b" "Partly|Partly.*")
expect("" "Plain|Plain.*" "Long|Long.*" ${unchanged} "Files/LongParameters|Files/LongParameters.*"
       "Partly|Partly.*")
