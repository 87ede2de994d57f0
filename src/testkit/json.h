/* SPDX-License-Identifier: MIT */
/* JSON (RFC 8259) taken apart where it stands: names are decoded, values are checked and passed over, so that numbers reach
 * the server as they are written. */
#ifndef PGDBM_TESTKIT_JSON_H
#define PGDBM_TESTKIT_JSON_H

#include <stdbool.h>
#include <stddef.h>

/* Values may lie in each other so deep; the server reads them by recursion, too. */
#define PGDBM__JSON_DEPTH 512

/* Set text and bytes (which do not end with NUL), and the rest to zero. Functions that return false have set `fault`, what
 * is wrong at the offset `at`; or `nomem`. */
struct pgdbm__json {
    const char *text;
    size_t bytes;
    size_t at;
    const char *fault; /* static */
    bool nomem;
};

/* Passes white space over; the byte that is next, 0 at the end. */
char pgdbm__json_peek(struct pgdbm__json *json);
/* Passes this byte over, behind white space, if it is next. */
bool pgdbm__json_accept(struct pgdbm__json *json, char byte);
/* The same; if it is not next, `fault`. */
bool pgdbm__json_expect(struct pgdbm__json *json, char byte, const char *fault);
/* A string, decoded, without NUL; the caller's to free. */
bool pgdbm__json_string(struct pgdbm__json *json, char **string);
/* Any value; `json->at` is behind it. */
bool pgdbm__json_value(struct pgdbm__json *json);
/* Sets the fault. */
bool pgdbm__json_fail(struct pgdbm__json *json, const char *fault);

#endif
