/* SPDX-License-Identifier: MIT */
/* The one place the version is written; CMake, the pkg-config file and `pgdbm --version` read it from here. */
#ifndef PGDBM_VERSION_H
#define PGDBM_VERSION_H

#include <pgdbm/export.h>

#define PGDBM_VERSION_MAJOR 0
#define PGDBM_VERSION_MINOR 1
#define PGDBM_VERSION_PATCH 0
#define PGDBM_VERSION_STRING "0.1.0"

/* True when the headers are at least this version. */
#define PGDBM_VERSION_CHECK(major, minor, patch)                                                                       \
    (PGDBM_VERSION_MAJOR > (major) || (PGDBM_VERSION_MAJOR == (major) && PGDBM_VERSION_MINOR > (minor)) ||             \
     (PGDBM_VERSION_MAJOR == (major) && PGDBM_VERSION_MINOR == (minor) && PGDBM_VERSION_PATCH >= (patch)))

PGDBM_BEGIN_DECLS

/* The version of the library that is running, which need not be the one of the headers. Any thread. */
PGDBM_EXPORT const char *pgdbm_version(void);

PGDBM_END_DECLS
#endif
