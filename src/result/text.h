/* SPDX-License-Identifier: MIT */
/* Values of a result, for those who read them; and the texts that are made of binary ones. */
#ifndef PGDBM_RESULT_TEXT_H
#define PGDBM_RESULT_TEXT_H

#include "result/result.h"

/* A value and what is needed to read it and to complain about it. */
struct pgdbm__value {
    const struct pgdbm__column *column;
    const char *data;
    int32_t length;
};

pgdbm_status pgdbm__value_find(const pgdbm_result *result, size_t row, size_t column, const void *out,
                               struct pgdbm__value *value, pgdbm_error *err);
pgdbm_status pgdbm__value_refuse(const struct pgdbm__value *value, const char *wanted, const char *why,
                                 pgdbm_error *err);

/* Why a value is none of its type. A user may have changed it since it was looked up: then that is done again. */
const char *pgdbm__value_malformed(const pgdbm_result *result);

/* The text of a binary value, made when it is asked for first, and kept as long as the result. Any thread. */
pgdbm_status pgdbm__text_make(const pgdbm_result *result, size_t row, size_t column, const struct pgdbm__value *value,
                              const char **text, pgdbm_error *err);
/* Frees them. Nobody reads. */
void pgdbm__texts_clear(pgdbm_result *result);

#endif
