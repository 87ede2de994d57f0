/* SPDX-License-Identifier: MIT */
/* Text, tables, errors and JSON. No state. */
#include "output.h"

#include "command.h"
#include "hint.h"
#include "interrupt.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_for_people(FILE *stream)
{
    const char *no_color = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    return isatty(fileno(stream)) && (no_color == NULL || no_color[0] == '\0') &&
           (terminal == NULL || strcmp(terminal, "dumb") != 0);
}

const char *pgdbm__cli_style_on(FILE *stream, enum pgdbm__cli_style style)
{
    static const char *const sequences[] = {
        [CLI_PLAIN] = "",         [CLI_BOLD] = "\033[1m",    [CLI_DIM] = "\033[2m",
        [CLI_GREEN] = "\033[32m", [CLI_YELLOW] = "\033[33m", [CLI_RED] = "\033[31m",
    };
    return is_for_people(stream) ? sequences[style] : "";
}

const char *pgdbm__cli_style_off(FILE *stream)
{
    return is_for_people(stream) ? "\033[0m" : "";
}

void pgdbm__cli_print_wrapped(const char *text, int indent, int width)
{
    int column = 0;
    while (*text != '\0') {
        int bytes = (int)strcspn(text, " \n");
        if (bytes == 0) {
            if (*text++ == '\n') {
                putchar('\n');
                column = 0;
            }
            continue;
        }
        bool fits = column + 1 + bytes <= width - indent;
        if (column > 0 && !fits)
            putchar('\n');
        column = column > 0 && fits ? column + 1 : 0;
        printf("%*s%.*s", column > 0 ? 1 : indent, "", bytes, text);
        column += bytes;
        text += bytes;
    }
    if (column > 0)
        putchar('\n');
}

void pgdbm__cli_print_indented(const char *text, int indent)
{
    while (*text != '\0') {
        int bytes = (int)strcspn(text, "\n");
        printf("%*s%.*s\n", bytes > 0 ? indent : 0, "", bytes, text);
        text += bytes;
        text += *text == '\n';
    }
}

/* Columns a text takes on a terminal: its characters, not its bytes. */
static size_t columns_of(const char *text)
{
    size_t columns = 0;
    for (; text != NULL && *text != '\0'; text++)
        columns += ((unsigned char)*text & 0xC0) != 0x80;
    return columns;
}

void pgdbm__cli_put_text(FILE *stream, const char *text, size_t bytes, bool lines)
{
    for (size_t i = 0; i < bytes; i++) {
        unsigned char letter = (unsigned char)text[i];
        bool keep = lines && (letter == '\n' || letter == '\t');
        /* U+0080 to U+009F are control characters of two bytes. */
        bool second =
            letter == 0xC2 && i + 1 < bytes && (unsigned char)text[i + 1] >= 0x80 && (unsigned char)text[i + 1] < 0xA0;
        bool control = letter < ' ' || letter == 0x7F || second;
        putc(control && !keep ? '?' : letter, stream);
        i += second;
    }
}

void pgdbm__cli_print_line(FILE *stream, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int bytes = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (bytes < 0) {
        pgdbm__cli_say_error(NULL, "out of memory");
        return;
    }
    pgdbm__cli_put_text(stream, text, (size_t)bytes, false);
    putc('\n', stream);
    free(text);
}

static void print_cell(const char *text, enum pgdbm__cli_style style, size_t padding)
{
    const char *off = style != CLI_PLAIN ? pgdbm__cli_style_off(stdout) : "";
    fputs(pgdbm__cli_style_on(stdout, style), stdout);
    pgdbm__cli_put_text(stdout, text != NULL ? text : "", text != NULL ? strlen(text) : 0, false);
    printf("%s%*s", off, (int)padding, "");
}

void pgdbm__cli_print_table(const char *const *headings, size_t n_columns, const struct pgdbm__cli_cell *cells,
                            size_t n_rows)
{
    size_t widths[CLI_MAX_OPTIONS] = {0};
    for (size_t column = 0; column < n_columns; column++) {
        widths[column] = columns_of(headings[column]);
        for (size_t row = 0; row < n_rows; row++) {
            size_t columns = columns_of(cells[row * n_columns + column].text);
            widths[column] = columns > widths[column] ? columns : widths[column];
        }
    }
    for (size_t row = 0; row <= n_rows; row++) {
        for (size_t column = 0; column < n_columns; column++) {
            const struct pgdbm__cli_cell heading = {headings[column], CLI_BOLD};
            const struct pgdbm__cli_cell *cell = row == 0 ? &heading : &cells[(row - 1) * n_columns + column];
            bool last = column + 1 == n_columns;
            fputs(column == 0 ? "  " : "", stdout);
            print_cell(cell->text, cell->style, last ? 0 : widths[column] - columns_of(cell->text) + 2);
        }
        putchar('\n');
    }
}

static void say_part(const char *name, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    fprintf(stderr, "  %s: ", name);
    pgdbm__cli_put_text(stderr, text, strlen(text), true);
    putc('\n', stderr);
}

static void say(const char *message, const char *excerpt, const char *detail, const char *statement, const char *hint)
{
    /* Answers that were written before the error come before it on a terminal too. */
    fflush(stdout);
    fprintf(stderr, "%spgdbm:%s ", pgdbm__cli_style_on(stderr, CLI_RED), pgdbm__cli_style_off(stderr));
    pgdbm__cli_put_text(stderr, message, strlen(message), true);
    putc('\n', stderr);
    if (excerpt != NULL)
        fputs(excerpt, stderr);
    say_part("detail", detail);
    say_part("statement", statement);
    say_part("hint", hint);
}

void pgdbm__cli_say_error(const char *hint, const char *format, ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    say(message, NULL, NULL, NULL, hint);
}

/* Without the name of the call that refused it: at a shell nobody called it. */
static const char *message_of(const pgdbm_error *err)
{
    size_t bytes = strspn(err->message, "abcdefghijklmnopqrstuvwxyz0123456789_");
    bool call = strncmp(err->message, "pgdbm_", strlen("pgdbm_")) == 0 && strncmp(err->message + bytes, ": ", 2) == 0;
    return err->message + (call ? bytes + 2 : 0);
}

void pgdbm__cli_say_error_with(const pgdbm_error *err, const char *excerpt)
{
    char message[sizeof err->message + 16];
    snprintf(message, sizeof message, err->sqlstate[0] != '\0' ? "%s [%s]" : "%s", message_of(err), err->sqlstate);
    char own[CLI_HINT_BYTES];
    pgdbm__cli_hint(err, own, sizeof own);
    const char *hint = own;
    /* A missing right is no fault of the statement's, which is often one of the library's own. */
    bool lacks_right = strcmp(err->sqlstate, "42501") == 0;
    if (pgdbm__cli_interrupted())
        hint = NULL; /* the library's is for programs; what an interrupt means is said at the end */
    else if (hint[0] == '\0' && lacks_right)
        hint = "the role that connects lacks a right: let its owner grant it, or connect as another role";
    else if (hint[0] == '\0' && strcmp(err->sqlstate, "25006") == 0)
        hint = "connect to the primary, if this is a standby; else default_transaction_read_only is set, for the "
               "database, the role or the session";
    say(message, excerpt, err->detail, excerpt == NULL && !lacks_right ? err->statement : NULL, hint);
}

void pgdbm__cli_say_library_error(const pgdbm_error *err)
{
    pgdbm__cli_say_error_with(err, NULL);
}

/* A name that is not UTF-8, as files may have it, with a question mark for each byte of another encoding. */
static json_t *json_other_text(const char *text)
{
    char *copy = strdup(text);
    for (char *at = copy; at != NULL && *at != '\0'; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    json_t *value = copy != NULL ? json_string(copy) : NULL;
    free(copy);
    return value;
}

json_t *pgdbm__cli_json_text(const char *text)
{
    json_t *value = text != NULL ? json_string(text) : NULL;
    if (value == NULL && text != NULL)
        value = json_other_text(text);
    return value != NULL ? value : json_null();
}

json_t *pgdbm__cli_json_error(const pgdbm_error *err)
{
    char hint[CLI_HINT_BYTES];
    pgdbm__cli_hint(err, hint, sizeof hint);
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:b}", "status", pgdbm_status_name(err->status), "message",
                     pgdbm__cli_json_text(message_of(err)), "detail", pgdbm__cli_json_text(err->detail), "hint",
                     pgdbm__cli_json_text(hint), "statement", pgdbm__cli_json_text(err->statement), "sqlstate",
                     pgdbm__cli_json_text(err->sqlstate), "outcome", pgdbm_outcome_name(err->outcome), "retryable",
                     (int)err->retryable);
}

bool pgdbm__cli_print_json(json_t *value)
{
    if (value == NULL) {
        pgdbm__cli_say_error(NULL, "out of memory");
        return false;
    }
    json_dumpf(value, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(value);
    return true;
}

int pgdbm__cli_exit_code(const pgdbm_error *err, bool opening)
{
    switch (err->status) {
    case PGDBM_ERR_ARGUMENT:
    case PGDBM_ERR_CONFIG:
    case PGDBM_ERR_SCHEMA:
        return CLI_USAGE;
    case PGDBM_ERR_CONNECTION:
        return opening ? CLI_NO_CONNECTION : CLI_FAILED;
    default:
        return CLI_FAILED;
    }
}
