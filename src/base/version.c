/* SPDX-License-Identifier: MIT */
#include <pgdbm/version.h>

const char *pgdbm_version(void)
{
    return PGDBM_VERSION_STRING;
}
