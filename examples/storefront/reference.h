/* SPDX-License-Identifier: MIT */
/* The world's countries and time zones, from the files of tzdata into the users service's tables. One thread. */
#ifndef STOREFRONT_REFERENCE_H
#define STOREFRONT_REFERENCE_H

#include <pgdbm/pgdbm.h>

/* A file of lines and tabs, without its comments. */
struct sheet {
    char *text;
    const char **cells; /* row after row; NULL where a line is short */
    size_t n_rows;
    size_t n_columns;
};

struct reference {
    struct sheet countries;  /* code, name */
    struct sheet time_zones; /* codes, coordinates, name, comments */
    size_t n_pairs;          /* of time zone and country */
};

/* Reads the files and inserts every line. `reference` is released with reference_free, after an error too. */
pgdbm_status reference_load(pgdbm_db *users, struct reference *reference, pgdbm_error *err);

/* The n-th time zone's name; n may be any number. */
const char *reference_time_zone(const struct reference *reference, size_t n);

void reference_free(struct reference *reference);

#endif
