# What reads and writes media files, and draws text in pictures. Without it cavmae still trains and embeds from cached
# features, and benchmarks: for machines that have a GPU and no media libraries. There each folder's without_media.cpp
# stands for the sources that need them, and throws.
option(CAVMAE_MEDIA "Read and write media files (FFmpeg, libjpeg), tar shards (libarchive) and libraries of moments (SQLite, FAISS, libpq), draw in pictures (FreeType), write reports" ON)
if(CAVMAE_MEDIA)
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(FFMPEG REQUIRED IMPORTED_TARGET libavformat libavcodec libavutil libswresample libswscale)
  pkg_check_modules(FREETYPE REQUIRED IMPORTED_TARGET freetype2)
  pkg_check_modules(JPEG REQUIRED IMPORTED_TARGET libjpeg)
  pkg_check_modules(ARCHIVE REQUIRED IMPORTED_TARGET libarchive)
  pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
  pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
  pkg_check_modules(POSTGRES REQUIRED IMPORTED_TARGET libpq)
  find_path(CAVMAE_XXHASH_INCLUDE_DIR xxhash.h REQUIRED)
  set(CAVMAE_SEARCH_LIBRARIES PkgConfig::SQLITE PkgConfig::POSTGRES)
  if(NOT CAVMAE_FUZZ)  # it needs OpenMP
    find_package(faiss CONFIG REQUIRED)
    list(APPEND CAVMAE_SEARCH_LIBRARIES faiss)
  endif()
  set(CAVMAE_MEDIA_LIBRARIES PkgConfig::FFMPEG PkgConfig::JPEG)
  set(CAVMAE_DATA_LIBRARIES PkgConfig::ARCHIVE)
  set(CAVMAE_STORAGE_LIBRARIES PkgConfig::CURL)
  set(CAVMAE_REPORT_LIBRARIES PkgConfig::FREETYPE)
endif()

# cavmae_choose_media_sources(variable pattern): of the sources in `variable`, those that this build takes; the ones that
# match `pattern` need the media libraries.
function(cavmae_choose_media_sources variable pattern)
  set(sources ${${variable}})
  if(CAVMAE_MEDIA)
    list(FILTER sources EXCLUDE REGEX "/without_media\\.cpp$")
  elseif(pattern)
    set(needing ${sources})
    list(FILTER needing INCLUDE REGEX "${pattern}")
    list(FILTER needing EXCLUDE REGEX "/(without_media|media_source)\\.cpp$")
    list(REMOVE_ITEM sources ${needing})
  endif()
  set(${variable} ${sources} PARENT_SCOPE)
endfunction()
