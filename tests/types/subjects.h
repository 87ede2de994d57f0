/* SPDX-License-Identifier: MIT */
/* The scalar types as the tests see them: printer, parser, and where the server gets values from. */
#ifndef PGDBM_TESTS_TYPES_SUBJECTS_H
#define PGDBM_TESTS_TYPES_SUBJECTS_H

#include "types/scalar.h"

struct subject {
    const char *name; /* in SQL */
    pgdbm__type_printer print;
    pgdbm__type_parser parse;
    const char *edges;  /* rows for VALUES */
    const char *random; /* of g, a number, by h(g, n): any 64 bits, and u(g, n, limit): from 0 on */
    bool any_length;    /* any bytes, or nearly any, are a value */
};

extern const struct subject subjects[];
extern const size_t n_subjects;

#endif
