/* SPDX-License-Identifier: MIT */
/* How the program speaks: answers on standard output, errors with a way out on standard error, colour only for people.
 * One thread. */
#ifndef PGDBM_CLI_OUTPUT_H
#define PGDBM_CLI_OUTPUT_H

#include <jansson.h>
#include <pgdbm/error.h>
#include <stdbool.h>
#include <stdio.h>

enum pgdbm__cli_style { CLI_PLAIN = 0, CLI_BOLD, CLI_DIM, CLI_GREEN, CLI_YELLOW, CLI_RED };

/* The escape sequences around styled text; "" when `stream` is no terminal or NO_COLOR is set. */
const char *pgdbm__cli_style_on(FILE *stream, enum pgdbm__cli_style style);
const char *pgdbm__cli_style_off(FILE *stream);

/* Prints `text` to standard output in lines of at most `width` columns, each behind `indent` spaces. */
void pgdbm__cli_print_wrapped(const char *text, int indent, int width);

/* Prints lines of text to standard output, each behind `indent` spaces. */
void pgdbm__cli_print_indented(const char *text, int indent);

/* Prints text that somebody else wrote: control characters, which a terminal would obey, become question marks; `lines`: but for
 * new lines and tabs. */
void pgdbm__cli_put_text(FILE *stream, const char *text, size_t bytes, bool lines);

/* A line with names in it, as pgdbm__cli_put_text writes them, and its end. */
void pgdbm__cli_print_line(FILE *stream, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct pgdbm__cli_cell {
    const char *text; /* NULL prints nothing */
    enum pgdbm__cli_style style;
};

/* Prints a heading and rows of `n_columns` cells each, columns aligned. */
void pgdbm__cli_print_table(const char *const *headings, size_t n_columns, const struct pgdbm__cli_cell *cells,
                            size_t n_rows);

/* "pgdbm: <message>" on standard error, and below it the hint (NULL: none). */
void pgdbm__cli_say_error(const char *hint, const char *format, ...) PGDBM_PRINTF(2, 3);

/* The library's error: message, detail, statement, hint. */
void pgdbm__cli_say_library_error(const pgdbm_error *err);

/* The same with lines of text (NULL: none) that show the place, instead of the statement. */
void pgdbm__cli_say_error_with(const pgdbm_error *err, const char *excerpt);

/* The error as JSON; a reference of the caller's. */
json_t *pgdbm__cli_json_error(const pgdbm_error *err);

/* Text as JSON; null for NULL and for what is not UTF-8. */
json_t *pgdbm__cli_json_text(const char *text);

/* Prints `value` to standard output and releases it. False after having said so when memory ran out. */
bool pgdbm__cli_print_json(json_t *value);

/* What a failed call of the library means for the exit code. `opening`: it was the call that connects. */
int pgdbm__cli_exit_code(const pgdbm_error *err, bool opening);

#endif
