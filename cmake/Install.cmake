# Install and export, so that find_package(cavmae) works from an installed copy.
include(CMakePackageConfigHelpers)
set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/cavmae)
get_property(libraries GLOBAL PROPERTY CAVMAE_LIBRARIES)

# All of it under one name: cavmae::cavmae.
add_library(cavmae_all INTERFACE)
add_library(cavmae::cavmae ALIAS cavmae_all)
target_link_libraries(cavmae_all INTERFACE ${libraries})
set_target_properties(cavmae_all PROPERTIES EXPORT_NAME cavmae)

install(TARGETS ${libraries} cavmae_abi cavmae_torch cavmae_all EXPORT cavmaeTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS cavmae RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
# Where the launcher looks for it.
install(TARGETS cavmae-program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}/../libexec/cavmae)
if(TARGET cavmae-decode)
  install(TARGETS cavmae-decode RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}/../libexec/cavmae)
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/cavmae DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(DIRECTORY ${PROJECT_SOURCE_DIR}/configs DESTINATION ${CMAKE_INSTALL_DATADIR}/cavmae)
install(EXPORT cavmaeTargets NAMESPACE cavmae:: DESTINATION ${config_dir})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/cavmaeConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/cavmaeConfig.cmake INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cavmaeConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/cavmaeConfig.cmake ${PROJECT_BINARY_DIR}/cavmaeConfigVersion.cmake
        DESTINATION ${config_dir})
