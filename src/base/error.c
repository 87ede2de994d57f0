/* SPDX-License-Identifier: MIT */
/* The one error value: filling, masking, printing. No state. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const status_names[] = {
    [PGDBM_OK] = "PGDBM_OK",
    [PGDBM_ERR_ARGUMENT] = "PGDBM_ERR_ARGUMENT",
    [PGDBM_ERR_CONFIG] = "PGDBM_ERR_CONFIG",
    [PGDBM_ERR_CONNECTION] = "PGDBM_ERR_CONNECTION",
    [PGDBM_ERR_POOL] = "PGDBM_ERR_POOL",
    [PGDBM_ERR_TIMEOUT] = "PGDBM_ERR_TIMEOUT",
    [PGDBM_ERR_CANCELED] = "PGDBM_ERR_CANCELED",
    [PGDBM_ERR_QUERY] = "PGDBM_ERR_QUERY",
    [PGDBM_ERR_SCHEMA] = "PGDBM_ERR_SCHEMA",
    [PGDBM_ERR_TYPE] = "PGDBM_ERR_TYPE",
    [PGDBM_ERR_TRANSACTION] = "PGDBM_ERR_TRANSACTION",
    [PGDBM_ERR_MIGRATION] = "PGDBM_ERR_MIGRATION",
    [PGDBM_ERR_NOMEM] = "PGDBM_ERR_NOMEM",
    [PGDBM_ERR_TESTDB] = "PGDBM_ERR_TESTDB",
};

static const char *const outcome_names[] = {
    [PGDBM_OUTCOME_NOT_SENT] = "not sent",
    [PGDBM_OUTCOME_ROLLED_BACK] = "rolled back",
    [PGDBM_OUTCOME_UNKNOWN] = "unknown",
    [PGDBM_OUTCOME_DONE] = "done",
};

const char *pgdbm_status_name(pgdbm_status status)
{
    size_t number = (size_t)status;
    return number < sizeof status_names / sizeof *status_names ? status_names[number] : "PGDBM_ERR_UNKNOWN";
}

const char *pgdbm_outcome_name(pgdbm_outcome_kind outcome)
{
    size_t number = (size_t)outcome;
    return number < sizeof outcome_names / sizeof *outcome_names ? outcome_names[number] : "unknown";
}

/* Cuts a text that was truncated in the middle of a UTF-8 character back to the last whole one. */
static void cut_at_character(char *text, size_t length)
{
    size_t end = length;
    while (end > 0 && length - end < 4 && ((unsigned char)text[end - 1] & 0xC0) == 0x80)
        end--;
    if (end == 0)
        return;
    unsigned char lead = (unsigned char)text[end - 1];
    size_t needs = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (length - (end - 1) < needs)
        text[end - 1] = '\0';
}

PGDBM_PRINTF(3, 0)
static void print_text(char *out, size_t out_bytes, const char *format, va_list arguments)
{
    int needed = vsnprintf(out, out_bytes, format, arguments);
    if (needed >= 0 && (size_t)needed >= out_bytes)
        cut_at_character(out, out_bytes - 1);
}

void pgdbm__copy_text(char *out, size_t out_bytes, const char *text, size_t text_bytes)
{
    size_t length = text_bytes < out_bytes - 1 ? text_bytes : out_bytes - 1;
    if (length > 0)
        memcpy(out, text, length);
    out[length] = '\0';
    if (length < text_bytes)
        cut_at_character(out, length);
}

static void empty(pgdbm_error *err, pgdbm_status status)
{
    err->status = status;
    err->outcome = PGDBM_OUTCOME_NOT_SENT;
    err->sqlstate[0] = '\0';
    err->retryable = false;
    err->position = 0;
    err->message[0] = '\0';
    err->detail[0] = '\0';
    err->hint[0] = '\0';
    err->statement[0] = '\0';
    err->constraint[0] = '\0';
}

pgdbm_status pgdbm__fail(pgdbm_error *err, pgdbm_status status, const char *format, ...)
{
    if (err != NULL) {
        empty(err, status);
        va_list arguments;
        va_start(arguments, format);
        print_text(err->message, sizeof err->message, format, arguments);
        va_end(arguments);
    }
    return status;
}

void pgdbm__error_detail(pgdbm_error *err, const char *format, ...)
{
    if (err != NULL) {
        va_list arguments;
        va_start(arguments, format);
        print_text(err->detail, sizeof err->detail, format, arguments);
        va_end(arguments);
    }
}

void pgdbm__error_hint(pgdbm_error *err, const char *format, ...)
{
    if (err != NULL) {
        va_list arguments;
        va_start(arguments, format);
        print_text(err->hint, sizeof err->hint, format, arguments);
        va_end(arguments);
    }
}

void pgdbm__error_outcome(pgdbm_error *err, pgdbm_outcome_kind outcome)
{
    if (err != NULL)
        err->outcome = outcome;
}

void pgdbm__error_statement(pgdbm_error *err, const char *sql)
{
    if (err != NULL && sql != NULL)
        PGDBM__COPY_TEXT(err->statement, sql, strlen(sql));
}

pgdbm_status pgdbm__fail_nomem(pgdbm_error *err, const char *what)
{
    pgdbm__fail(err, PGDBM_ERR_NOMEM, "out of memory while %s", what);
    pgdbm__error_hint(err, "free memory, or fetch less at a time (pgdbm_stream)");
    return PGDBM_ERR_NOMEM;
}

pgdbm_status pgdbm__fail_null(pgdbm_error *err, const char *function, const char *argument)
{
    pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "%s: %s is NULL", function, argument);
    pgdbm__error_hint(err, "pass a valid %s; the header names the arguments that may be NULL", argument);
    return PGDBM_ERR_ARGUMENT;
}

/* Replaces what lies between text[start] and text[end] by one ellipsis; returns where the rest begins afterwards. */
static size_t mask_span(char *text, size_t start, size_t end)
{
    static const char ellipsis[] = "\xE2\x80\xA6";
    size_t room = end - start;
    if (room < sizeof ellipsis - 1)
        memset(text + start, '*', room);
    else {
        memcpy(text + start, ellipsis, sizeof ellipsis - 1);
        memmove(text + start + sizeof ellipsis - 1, text + end, strlen(text + end) + 1);
        return start + sizeof ellipsis - 1;
    }
    return end;
}

/* Masks from behind each `opening` to the last `closing` of the text: values may hold the closing character themselves.
 */
static void mask_after(char *text, const char *opening, char closing)
{
    char *found = strstr(text, opening);
    if (found == NULL)
        return;
    size_t start = (size_t)(found - text) + strlen(opening);
    char *last = strrchr(text + start, closing);
    mask_span(text, start, last != NULL ? (size_t)(last - text) : strlen(text));
}

void pgdbm__error_mask_values(pgdbm_error *err)
{
    if (err == NULL)
        return;
    mask_after(err->detail, "=(", ')');
    mask_after(err->detail, "row contains (", ')');
    if (strncmp(err->sqlstate, "22", 2) == 0) {
        mask_after(err->message, ": \"", '"');
        mask_after(err->message, "value \"", '"');
        mask_after(err->detail, "Token \"", '"'); /* of JSON */
        mask_after(err->detail, "found \"", '"');
    }
}

size_t pgdbm_error_format(const pgdbm_error *error, char *text, size_t text_bytes)
{
    char nothing[1];
    if (text == NULL || text_bytes == 0) {
        text = nothing;
        text_bytes = 1;
    }
    text[0] = '\0';
    if (error == NULL)
        return 0;
    char state[16] = "";
    char position[32] = "";
    if (error->sqlstate[0] != '\0')
        snprintf(state, sizeof state, " [%s]", error->sqlstate);
    if (error->position > 0)
        snprintf(position, sizeof position, " at character %d", error->position);
    int needed = snprintf(text, text_bytes, "%s%s: %s%s%s%s%s%s%s%s%s (outcome: %s)", pgdbm_status_name(error->status),
                          state, error->message, error->detail[0] != '\0' ? "\n  detail: " : "", error->detail,
                          error->hint[0] != '\0' ? "\n  hint: " : "", error->hint,
                          error->statement[0] != '\0' ? "\n  statement: " : "", error->statement, position, "\n ",
                          pgdbm_outcome_name(error->outcome));
    return needed > 0 ? (size_t)needed : 0;
}
