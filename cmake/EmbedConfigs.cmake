# cmake -DOUT=... -DFILES=a.json,b.json -P EmbedConfigs.cmake: writes the configurations as C++ string literals.
string(REPLACE "," ";" files "${FILES}")
set(entries "")
foreach(file ${files})
  get_filename_component(name ${file} NAME_WE)
  file(READ ${file} text)
  string(APPEND entries "      {\"${name}\", R\"__json__(${text})__json__\"},\n")
endforeach()
file(WRITE ${OUT} "// Generated from configs/*.json.\n#include \"apps/configs.h\"\n\nnamespace cavmae::apps {\n\n"
     "const std::vector<BuiltInConfig>& built_in_configs() {\n  static const std::vector<BuiltInConfig> configs = {\n"
     "${entries}  };\n  return configs;\n}\n\n}  // namespace cavmae::apps\n")
