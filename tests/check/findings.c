/* SPDX-License-Identifier: MIT */
#include "check/findings.h"
#include "check/rules_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct line {
    struct pgdbm__check_place place;
    const char *rule;
    char *message;
};

struct pgdbm__check_run {
    struct line *lines;
    size_t n_lines, capacity;
};

static void keep(struct pgdbm__check_run *run, struct line line)
{
    if (run->n_lines == run->capacity) {
        run->capacity = run->capacity > 0 ? run->capacity * 2 : 16;
        run->lines = realloc(run->lines, run->capacity * sizeof *run->lines);
        assert_non_null(run->lines);
    }
    run->lines[run->n_lines++] = line;
}

/* A rule that is not listed can be neither explained nor allowed. */
static void expect_listed(const struct pgdbm__check_rule *rule)
{
    for (size_t i = 0; i < pgdbm__check_n_sql_rules; i++)
        if (pgdbm__check_sql_rules[i] == rule)
            return;
    fail_msg("%s is not in the list of rules", rule->id);
}

bool pgdbm__check_add(struct pgdbm__check_run *run, const struct pgdbm__check_rule *rule, const char *file,
                      struct pgdbm__check_place place, const char *format, ...)
{
    struct line line = {.place = place, .rule = rule->id};
    va_list arguments;
    assert_non_null(file);
    expect_listed(rule);
    va_start(arguments, format);
    assert_true(vasprintf(&line.message, format, arguments) > 0);
    va_end(arguments);
    keep(run, line);
    return true;
}

bool pgdbm__check_add_remark(struct pgdbm__check_run *run, const char *file, struct pgdbm__check_place place,
                             const char *why)
{
    assert_non_null(file);
    struct line line = {.place = place, .rule = "not-checked", .message = strdup(why)};
    assert_non_null(line.message);
    keep(run, line);
    return true;
}

struct pgdbm__check_run *findings_begin(void)
{
    struct pgdbm__check_run *run = calloc(1, sizeof *run);
    assert_non_null(run);
    return run;
}

static int by_place(const void *one, const void *other)
{
    const struct line *a = one, *b = other;
    if (a->place.line != b->place.line)
        return a->place.line < b->place.line ? -1 : 1;
    if (a->place.column != b->place.column)
        return a->place.column < b->place.column ? -1 : 1;
    return strcmp(a->rule, b->rule);
}

/* Each finding as a line; with or without its message. Frees the run. */
static char *print(struct pgdbm__check_run *run, bool messages)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    if (run->n_lines > 0)
        qsort(run->lines, run->n_lines, sizeof *run->lines, by_place);
    for (size_t i = 0; i < run->n_lines; i++) {
        struct line *line = &run->lines[i];
        fprintf(out, "%zu:%zu %s%s%s\n", line->place.line, line->place.column, line->rule, messages ? ": " : "",
                messages ? line->message : "");
        free(line->message);
    }
    fclose(out);
    free(run->lines);
    free(run);
    return text;
}

char *findings_end(struct pgdbm__check_run *run)
{
    return print(run, true);
}

enum kind { LITERAL, MIGRATION, SCRIPT };

static void expect(const char *file, enum kind kind, const char *sql, va_list lines)
{
    static const struct pgdbm__check_piece piece = {0, {1, 1}};
    struct pgdbm__check_run *run = findings_begin();
    struct pgdbm__check_sql text = {.file = file, .text = sql, .bytes = strlen(sql), .migration = kind == MIGRATION};
    char wanted[2048] = "";
    if (kind == LITERAL) {
        text.pieces = &piece;
        text.n_pieces = 1;
    }
    for (const char *line; (line = va_arg(lines, const char *)) != NULL;)
        snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted), "%s\n", line);
    assert_true(pgdbm__check_read_sql(run, &text));
    char *found = print(run, false);
    if (strcmp(found, wanted) != 0)
        print_error("of: %s\n", sql);
    assert_string_equal(found, wanted);
    free(found);
}

void expect_sql(const char *sql, ...)
{
    va_list lines;
    va_start(lines, sql);
    expect("query.c", LITERAL, sql, lines);
    va_end(lines);
}

void expect_migration(const char *file, const char *sql, ...)
{
    va_list lines;
    va_start(lines, sql);
    expect(file, MIGRATION, sql, lines);
    va_end(lines);
}

void expect_script(const char *sql, ...)
{
    va_list lines;
    va_start(lines, sql);
    expect("script.sql", SCRIPT, sql, lines);
    va_end(lines);
}
