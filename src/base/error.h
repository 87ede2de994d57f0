/* SPDX-License-Identifier: MIT */
/* Filling a pgdbm_error. Every function accepts a NULL error and truncates at a whole UTF-8 character. */
#ifndef PGDBM_BASE_ERROR_H
#define PGDBM_BASE_ERROR_H

#include <pgdbm/error.h>

/* Empties the error, sets status and message (outcome NOT_SENT) and returns `status`, so that failing is one line:
 * `return pgdbm__fail(err, PGDBM_ERR_CONFIG, "...");` */
pgdbm_status pgdbm__fail(pgdbm_error *err, pgdbm_status status, const char *format, ...) PGDBM_PRINTF(3, 4);
void pgdbm__error_detail(pgdbm_error *err, const char *format, ...) PGDBM_PRINTF(2, 3);
void pgdbm__error_hint(pgdbm_error *err, const char *format, ...) PGDBM_PRINTF(2, 3);
void pgdbm__error_outcome(pgdbm_error *err, pgdbm_outcome_kind outcome);
/* The statement's beginning. */
void pgdbm__error_statement(pgdbm_error *err, const char *sql);

/* "out of memory while <what>": needs no memory itself. */
pgdbm_status pgdbm__fail_nomem(pgdbm_error *err, const char *what);
/* "<function>: <argument> is NULL". */
pgdbm_status pgdbm__fail_null(pgdbm_error *err, const char *function, const char *argument);

/* Copies text into a fixed buffer, cut at a whole character. */
void pgdbm__copy_text(char *out, size_t out_bytes, const char *text, size_t text_bytes);
#define PGDBM__COPY_TEXT(array, text, text_bytes) pgdbm__copy_text((array), sizeof(array), (text), (text_bytes))

/* Replaces values that the server quotes in its message and detail texts by "…" ("Key (email)=(…) already exists."). */
void pgdbm__error_mask_values(pgdbm_error *err);

#endif
