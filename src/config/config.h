/* SPDX-License-Identifier: MIT */
/* A configuration of the library's own: every field resolved, every string copied. */
#ifndef PGDBM_CONFIG_CONFIG_H
#define PGDBM_CONFIG_CONFIG_H

#include <pgdbm/config.h>

struct pgdbm__config {
    pgdbm_config values; /* limits that are off are -1 */
    pgdbm_setting *settings;
    char **commands;
};

/* Errors: ARGUMENT (NULL), CONFIG (naming field, value, range), NOMEM. */
pgdbm_status pgdbm__config_copy(const pgdbm_config *config, size_t config_bytes, struct pgdbm__config **copy,
                                pgdbm_error *err);
void pgdbm__config_free(struct pgdbm__config *config);

#endif
