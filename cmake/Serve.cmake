# What serves a library: HTTP, and the confinement of the process that decodes files of strangers. Both are left out of a
# build without media libraries, as the server is.
if(CAVMAE_MEDIA)
  pkg_check_modules(HTTPLIB REQUIRED IMPORTED_TARGET cpp-httplib)
  pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
  set(CAVMAE_HTTP_LIBRARIES PkgConfig::HTTPLIB)
  set(CAVMAE_SECCOMP_LIBRARIES PkgConfig::SECCOMP)
endif()
