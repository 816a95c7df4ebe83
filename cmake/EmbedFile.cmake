# A file of any kind as a function of the program.
#
#   cavmae_embed_file(target FILE path FUNCTION name HEADER "cavmae/...h")
#
# adds to `target` a source that defines `std::string_view cavmae::name()`, the file's bytes, which HEADER declares.
function(cavmae_embed_file target)
  cmake_parse_arguments(ARG "" "FILE;FUNCTION;HEADER" "" ${ARGN})
  set(out ${PROJECT_BINARY_DIR}/generated/${target}/${ARG_FUNCTION}.cpp)
  file(CONFIGURE OUTPUT ${out} @ONLY CONTENT [[
// Generated from @ARG_FILE@.
#include "@ARG_HEADER@"

__asm__(R"(
  .pushsection .rodata
  .globl cavmae_@ARG_FUNCTION@, cavmae_@ARG_FUNCTION@_end
  .hidden cavmae_@ARG_FUNCTION@, cavmae_@ARG_FUNCTION@_end
cavmae_@ARG_FUNCTION@:
  .incbin "@ARG_FILE@"
cavmae_@ARG_FUNCTION@_end:
  .popsection
)");
extern "C" const char cavmae_@ARG_FUNCTION@[], cavmae_@ARG_FUNCTION@_end[];

namespace cavmae {

std::string_view @ARG_FUNCTION@() {
  return {cavmae_@ARG_FUNCTION@, cavmae_@ARG_FUNCTION@_end};
}

}  // namespace cavmae
]])
  set_source_files_properties(${out} PROPERTIES OBJECT_DEPENDS ${ARG_FILE})
  target_sources(${target} PRIVATE ${out})
endfunction()
