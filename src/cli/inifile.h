/* SPDX-License-Identifier: MIT */
/* Reading `key = value` files in sections: INI, and the part of TOML that fits on one line. inih splits sections and keys;
 * values are read here, because they may be longer than its lines and hold what it takes for a comment. One thread. */
#ifndef PGDBM_CLI_INI_H
#define PGDBM_CLI_INI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* What stands behind a key: one word or text, or a list of them. */
struct pgdbm__cli_ini_value {
    const char *const *items; /* undone of quotes and escapes */
    size_t n_items;           /* 1 unless it is a list */
    bool list;                /* written [ ... ] */
    bool quoted;              /* the one item was: text, and neither number nor boolean */
};

struct pgdbm__cli_ini_place {
    const char *file;
    size_t line;
};

/* Called for each section (key NULL) and each key of it, borrowed texts. False stops the reading, after having said why. */
typedef bool (*pgdbm__cli_ini_handler)(void *context, const char *section, const char *key,
                                       const struct pgdbm__cli_ini_value *value,
                                       const struct pgdbm__cli_ini_place *place);

/* Reads a file, which is called `path`. False after having said what is wrong, with file and line. */
bool pgdbm__cli_ini_read(FILE *file, const char *path, pgdbm__cli_ini_handler handler, void *context);

/* "pgdbm: FILE:LINE: message" and the hint (NULL: none), as pgdbm__cli_say_error. False, always. */
bool pgdbm__cli_ini_wrong(const struct pgdbm__cli_ini_place *place, const char *hint, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
