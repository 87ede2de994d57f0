# SPDX-License-Identifier: MIT
# What `cmake --install` lays down: headers, libraries, the program, and how CMake and pkg-config find them.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS pgdbm_shared pgdbm_testkit EXPORT pgdbm LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS pgdbm_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET pgdbm)
    install(TARGETS pgdbm RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY include/pgdbm DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT pgdbm NAMESPACE pgdbm:: FILE pgdbm-targets.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/pgdbm)
write_basic_package_version_file(pgdbm-config-version.cmake COMPATIBILITY SameMinorVersion)
file(CONFIGURE OUTPUT pgdbm-config.cmake @ONLY CONTENT
"include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(OpenSSL)
find_dependency(PostgreSQL)
include(\"\${CMAKE_CURRENT_LIST_DIR}/pgdbm-targets.cmake\")
include(\"\${CMAKE_CURRENT_LIST_DIR}/PgdbmEmbedMigrations.cmake\")
")
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/pgdbm-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/pgdbm-config-version.cmake
              cmake/PgdbmEmbedMigrations.cmake cmake/PgdbmEmbedScript.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/pgdbm)

# The prefix is found from where the file lies, so that a tree can be moved.
set(pc_head "prefix=\${pcfiledir}/../..\nlibdir=\${prefix}/${CMAKE_INSTALL_LIBDIR}\nincludedir=\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}\n\n")
file(CONFIGURE OUTPUT pgdbm.pc @ONLY CONTENT
"${pc_head}Name: pgdbm
Description: One pool, many schemas, and every module brings its own migrations
Version: @PROJECT_VERSION@
Requires.private: libpq libssl libcrypto
Cflags: -I\${includedir}
Libs: -L\${libdir} -lpgdbm
Libs.private: -lm -pthread
")
file(CONFIGURE OUTPUT pgdbm-testkit.pc @ONLY CONTENT
"${pc_head}Name: pgdbm-testkit
Description: Private PostgreSQL servers and throw-away databases for tests
Version: @PROJECT_VERSION@
Requires: pgdbm libpq libcrypto
Cflags: -I\${includedir}
Libs: -L\${libdir} -lpgdbm-testkit
Libs.private: -pthread
")
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/pgdbm.pc ${CMAKE_CURRENT_BINARY_DIR}/pgdbm-testkit.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
