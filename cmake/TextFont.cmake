# The font of the captions in pictures (fonts-dejavu-core, which FFmpeg's packages bring along): found and embedded
# when cavmae is built, not needed when it runs.
find_file(CAVMAE_TEXT_FONT NAMES DejaVuSans.ttf PATHS /usr/share/fonts/truetype/dejavu NO_CMAKE_FIND_ROOT_PATH
          DOC "DejaVu Sans, a TrueType font")
if(NOT CAVMAE_TEXT_FONT)
  message(FATAL_ERROR "DejaVu Sans was not found: install fonts-dejavu-core, or set CAVMAE_TEXT_FONT to a .ttf file")
endif()
