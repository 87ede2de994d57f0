# SPDX-License-Identifier: MIT
# pgdbm_embed_migrations(target NAME audit DIR migrations)
#
# Compiles the .sql files of a directory into `target` as `const pgdbm_migrations audit_migrations` (<pgdbm/migrate.h>), declared in the
# generated header "audit_migrations.h". A changed, added or removed file is noticed by the next build.
set(PGDBM_EMBED_SCRIPT "${CMAKE_CURRENT_LIST_DIR}/PgdbmEmbedScript.cmake")

function(pgdbm_embed_migrations target)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "NAME;DIR" "")
    if(NOT arg_NAME MATCHES "^[A-Za-z_][A-Za-z0-9_]*$")
        message(FATAL_ERROR "pgdbm_embed_migrations: NAME must be a C identifier, it is \"${arg_NAME}\"")
    endif()
    get_filename_component(directory "${arg_DIR}" ABSOLUTE)
    if(NOT IS_DIRECTORY "${directory}")
        message(FATAL_ERROR "pgdbm_embed_migrations: there is no directory ${directory}")
    endif()
    file(GLOB files CONFIGURE_DEPENDS "${directory}/*.sql")
    if(NOT files)
        message(FATAL_ERROR "pgdbm_embed_migrations: ${directory} has no .sql file")
    endif()
    list(SORT files)
    set(output "${CMAKE_CURRENT_BINARY_DIR}/${arg_NAME}_migrations")
    add_custom_command(
        OUTPUT "${output}/${arg_NAME}_migrations.c" "${output}/${arg_NAME}_migrations.h"
        COMMAND "${CMAKE_COMMAND}" "-DNAME=${arg_NAME}" "-DDIRECTORY=${directory}" "-DOUTPUT=${output}" -P "${PGDBM_EMBED_SCRIPT}"
        DEPENDS ${files} "${PGDBM_EMBED_SCRIPT}"
        COMMENT "Embedding the migrations of ${arg_NAME}"
        VERBATIM)
    target_sources(${target} PRIVATE "${output}/${arg_NAME}_migrations.c" "${output}/${arg_NAME}_migrations.h")
    target_include_directories(${target} PRIVATE "${output}")
endfunction()
