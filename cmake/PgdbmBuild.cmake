# SPDX-License-Identifier: MIT
# How pgdbm's own targets are compiled. A room (a folder of src/) is an object library of its own, so that it can be
# built and tested alone; libpgdbm is all rooms together.

add_library(pgdbm_flags INTERFACE)
target_compile_options(pgdbm_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes
                                             -Wpointer-arith -Wwrite-strings -Wvla -Wformat=2 -fno-strict-aliasing)
target_compile_definitions(pgdbm_flags INTERFACE _GNU_SOURCE)
if(PGDBM_WERROR)
    target_compile_options(pgdbm_flags INTERFACE -Werror)
endif()
if(PGDBM_SANITIZE)
    target_compile_options(pgdbm_flags INTERFACE -fsanitize=${PGDBM_SANITIZE} -fno-omit-frame-pointer
                                                 -fno-sanitize-recover=all)
    target_link_options(pgdbm_flags INTERFACE -fsanitize=${PGDBM_SANITIZE})
endif()
if(PGDBM_FUZZ)
    target_compile_options(pgdbm_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(PGDBM_COVERAGE)
    target_compile_options(pgdbm_flags INTERFACE --coverage)
    target_link_options(pgdbm_flags INTERFACE --coverage)
endif()

# What every room sees: the public headers, the other rooms' headers as "room/file.h", libpq and OpenSSL.
target_include_directories(pgdbm_flags INTERFACE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
target_include_directories(pgdbm_flags SYSTEM INTERFACE ${PostgreSQL_INCLUDE_DIRS})

function(pgdbm_room name)
    add_library(pgdbm_room_${name} OBJECT ${ARGN})
    target_link_libraries(pgdbm_room_${name} PRIVATE pgdbm_flags OpenSSL::SSL OpenSSL::Crypto Threads::Threads)
    set_property(GLOBAL APPEND PROPERTY pgdbm_rooms ${name})
endfunction()

# libpgdbm, shared for users and static for tests that look inside.
function(pgdbm_library)
    get_property(rooms GLOBAL PROPERTY pgdbm_rooms)
    set(objects "")
    foreach(room IN LISTS rooms)
        list(APPEND objects $<TARGET_OBJECTS:pgdbm_room_${room}>)
    endforeach()
    foreach(kind SHARED STATIC)
        string(TOLOWER ${kind} suffix)
        add_library(pgdbm_${suffix} ${kind} ${objects})
        target_include_directories(pgdbm_${suffix} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                                          $<INSTALL_INTERFACE:include>)
        target_link_libraries(pgdbm_${suffix} PRIVATE $<BUILD_INTERFACE:pgdbm_flags> PostgreSQL::PostgreSQL OpenSSL::SSL
                                                      OpenSSL::Crypto Threads::Threads m)
        set_target_properties(pgdbm_${suffix} PROPERTIES OUTPUT_NAME pgdbm EXPORT_NAME pgdbm VERSION ${PROJECT_VERSION}
                              SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR} LINKER_LANGUAGE C)
    endforeach()
    add_library(pgdbm::pgdbm ALIAS pgdbm_shared)
endfunction()
