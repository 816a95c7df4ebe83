# What a library of moments is kept with: SQLite, hashes of files (a header alone), and FAISS, which learns its lists.
find_package(PkgConfig REQUIRED)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
find_path(CAVMAE_XXHASH_INCLUDE_DIR xxhash.h REQUIRED)
find_package(faiss CONFIG REQUIRED)
set(CAVMAE_SEARCH_LIBRARIES PkgConfig::SQLITE faiss)
