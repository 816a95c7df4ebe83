# A text file as a function of the program.
#
#   cavmae_embed_text(target FILE path FUNCTION name HEADER "cavmae/...h")
#
# adds to `target` a source that defines `std::string_view cavmae::name()`, which HEADER declares. The same file is
# the script that writes that source at build time.
if(CMAKE_SCRIPT_MODE_FILE)
  file(READ ${FILE} text)
  # String literals have no limit in GCC and Clang; the delimiter is one that no style sheet or script contains.
  file(WRITE ${OUT} "// Generated from ${FILE}.\n#include \"${HEADER}\"\n\nnamespace cavmae {\n\n"
       "std::string_view ${FUNCTION}() {\n  return R\"__embedded__(${text})__embedded__\";\n}\n\n}  // namespace cavmae\n")
  return()
endif()

set(CAVMAE_EMBED_TEXT_SCRIPT ${CMAKE_CURRENT_LIST_FILE})
function(cavmae_embed_text target)
  cmake_parse_arguments(ARG "" "FILE;FUNCTION;HEADER" "" ${ARGN})
  set(out ${PROJECT_BINARY_DIR}/generated/${target}/${ARG_FUNCTION}.cpp)
  add_custom_command(OUTPUT ${out} DEPENDS ${ARG_FILE} ${CAVMAE_EMBED_TEXT_SCRIPT} VERBATIM
                     COMMAND ${CMAKE_COMMAND} -DFILE=${ARG_FILE} -DFUNCTION=${ARG_FUNCTION} -DHEADER=${ARG_HEADER}
                             -DOUT=${out} -P ${CAVMAE_EMBED_TEXT_SCRIPT})
  target_sources(${target} PRIVATE ${out})
endfunction()
