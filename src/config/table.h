/* SPDX-License-Identifier: MIT */
/* The table of fields: one line each, in the order of pgdbm_config. */
#ifndef PGDBM_CONFIG_TABLE_H
#define PGDBM_CONFIG_TABLE_H

#include <pgdbm/config.h>

enum pgdbm__field_kind {
    PGDBM__FIELD_TEXT,
    PGDBM__FIELD_INT, /* 0: the default; -1: off where `may_be_off` */
    PGDBM__FIELD_DOUBLE,
    PGDBM__FIELD_BOOL,
    PGDBM__FIELD_OTHER /* lists, choices and callbacks: set by the program only */
};

struct pgdbm__field {
    pgdbm_config_field shown;
    enum pgdbm__field_kind kind;
    size_t offset;
    bool may_be_off;
    double fallback, low, high;
};

extern const struct pgdbm__field pgdbm__fields[];
extern const size_t pgdbm__n_fields;

#endif
