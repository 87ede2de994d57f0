/* SPDX-License-Identifier: MIT */
/* From a configuration to what libpq wants. */
#ifndef PGDBM_CONFIG_CONNINFO_H
#define PGDBM_CONFIG_CONNINFO_H

#include "config/config.h"

#define PGDBM__CONNINFO_LIMIT 32

/* NULL-terminated lists for PQconnectStartParams (expand_dbname = 1). */
struct pgdbm__conninfo {
    const char *keywords[PGDBM__CONNINFO_LIMIT];
    const char *values[PGDBM__CONNINFO_LIMIT];
    char *owned[PGDBM__CONNINFO_LIMIT];
    size_t count, n_owned;
    char description[256];
};

/* Errors: CONFIG (malformed string without showing it, a part given twice, GSS encryption asked for), NOMEM. `config`
 * must outlive it. */
pgdbm_status pgdbm__conninfo_build(const struct pgdbm__config *config, struct pgdbm__conninfo *conninfo,
                                   pgdbm_error *err);
void pgdbm__conninfo_free(struct pgdbm__conninfo *conninfo);

/* "host=... port=... dbname=... user=...", without the password. */
const char *pgdbm__conninfo_describe(const struct pgdbm__conninfo *conninfo);

#endif
