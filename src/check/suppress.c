/* SPDX-License-Identifier: MIT */
/* Comments that allow what a rule forbids, each with its reason. No state but the run's. */
#include "check/rules_c.h"
#include "check/run.h"

#include <stdlib.h>
#include <string.h>

static const char MARK[] = "pgdbm-check:";

/* Whether a comment begins before `at` on its line: a mark in a text of the program's is none. */
static bool is_in_comment(const char *line, const char *at)
{
    static const char *const openings[] = {"--", "//", "/*"};
    while (line < at && (*line == ' ' || *line == '\t'))
        line++;
    if (line < at && *line == '*')
        return true;
    for (size_t i = 0; i < sizeof openings / sizeof openings[0]; i++)
        if (memmem(line, (size_t)(at - line), openings[i], 2) != NULL)
            return true;
    return false;
}

/* Whether a line has nothing but blanks or a comment. */
static bool is_idle(const char *line, const char *end)
{
    while (line < end && (*line == ' ' || *line == '\t' || *line == '\r'))
        line++;
    return line == end || *line == '*' ||
           (end - line >= 2 &&
            (memcmp(line, "--", 2) == 0 || memcmp(line, "//", 2) == 0 || memcmp(line, "/*", 2) == 0));
}

/* The line up to which a comment at `line` (number `number`) holds: its own, or the next one that has something in it. All comments
 * on the way hold up to the same. */
static size_t last_line(const char *line, const char *end, size_t number)
{
    for (;;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (stop == NULL || !is_idle(line, stop))
            return number;
        line = stop + 1;
        number++;
    }
}

static bool add(struct pgdbm__check_file *file, const struct pgdbm__check_suppression *suppression)
{
    size_t n = file->n_suppressions;
    if ((n & (n - 1)) == 0) { /* a power of two, or none */
        struct pgdbm__check_suppression *longer =
            realloc(file->suppressions, (n == 0 ? 1 : 2 * n) * sizeof *file->suppressions);
        if (longer == NULL)
            return false;
        file->suppressions = longer;
    }
    file->suppressions[file->n_suppressions++] = *suppression;
    return true;
}

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    return at;
}

static bool begins_with(const char *at, const char *end, const char *word)
{
    size_t bytes = strlen(word);
    return (size_t)(end - at) >= bytes && memcmp(at, word, bytes) == 0;
}

/* The reason behind `because`, without the comment's end; NULL: there is none. `*fine` is false when memory ran out. */
static char *read_reason(const char *at, const char *end, bool *fine)
{
    at = skip_space(at, end);
    if (!begins_with(at, end, "because "))
        return NULL;
    at = skip_space(at + strlen("because "), end);
    const char *closing = memmem(at, (size_t)(end - at), "*/", 2);
    end = closing != NULL ? closing : end;
    while (end > at && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
        end--;
    char *reason = end > at ? strndup(at, (size_t)(end - at)) : NULL;
    *fine = reason != NULL || end == at;
    return reason;
}

/* "allow a, b because ..." in [at, end). False: no memory. */
static bool read_mark(struct pgdbm__check_run *run, struct pgdbm__check_file *file, const char *at, const char *end,
                      struct pgdbm__check_suppression suppression)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    const struct pgdbm__check_rule *const rule = &pgdbm__check_rule_bad_suppression;
    size_t first = file->n_suppressions;
    at = skip_space(at, end);
    if (!begins_with(at, end, "allow "))
        return pgdbm__check_add(run, rule, file->path, suppression.place,
                                "%s must be followed by: allow RULE because REASON", MARK);
    at += strlen("allow ");
    for (bool more = true; more;) {
        at = skip_space(at, end);
        size_t bytes = 0;
        while (at + bytes < end && at[bytes] != '\0' && strchr(letters, at[bytes]) != NULL)
            bytes++;
        suppression.rule = pgdbm__check_rule_find(at, bytes);
        if (suppression.rule == NULL)
            return pgdbm__check_add(run, rule, file->path, suppression.place, "there is no rule \"%.*s\"",
                                    (int)(bytes < 60 ? bytes : 60), at);
        if (!add(file, &suppression))
            return false;
        at = skip_space(at + bytes, end);
        more = at < end && *at == ',';
        at += more;
    }
    bool fine = true;
    char *reason = read_reason(at, end, &fine);
    if (reason == NULL) {
        file->n_suppressions = first;
        return fine && pgdbm__check_add(run, rule, file->path, suppression.place,
                                        "a reason is missing: allow RULE because REASON");
    }
    for (size_t i = first; fine && i < file->n_suppressions; i++) {
        file->suppressions[i].reason = i == first ? reason : strdup(reason);
        fine = file->suppressions[i].reason != NULL;
    }
    return fine;
}

bool pgdbm__check_find_suppressions(struct pgdbm__check_run *run, struct pgdbm__check_file *file, const char *text,
                                    size_t bytes)
{
    const char *end = text + bytes;
    const char *line = text;
    size_t number = 1;
    size_t last = 0;
    for (const char *at = text; (at = memmem(at, (size_t)(end - at), MARK, strlen(MARK))) != NULL; at += strlen(MARK)) {
        for (const char *stop; (stop = memchr(line, '\n', (size_t)(at - line))) != NULL; number++)
            line = stop + 1;
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!is_in_comment(line, at))
            continue;
        last = number <= last ? last : last_line(line, end, number);
        const struct pgdbm__check_suppression suppression = {
            .place = {number, (size_t)(at - line) + 1},
            .last_line = last,
        };
        if (!read_mark(run, file, at + strlen(MARK), stop != NULL ? stop : end, suppression))
            return false;
    }
    return true;
}

/* They come in the order of their lines, and of the lines up to which they hold. */
static struct pgdbm__check_suppression *find(struct pgdbm__check_run *run, const struct pgdbm__check_finding *finding)
{
    struct pgdbm__check_file *file = pgdbm__check_file_of(run, finding->file);
    size_t low = 0;
    for (size_t high = file->n_suppressions; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (file->suppressions[middle].last_line < finding->place.line)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < file->n_suppressions && file->suppressions[low].place.line <= finding->place.line; low++)
        if (file->suppressions[low].rule == finding->rule)
            return &file->suppressions[low];
    return NULL;
}

bool pgdbm__check_apply_suppressions(struct pgdbm__check_run *run)
{
    bool fine = true;
    for (size_t i = 0; i < run->n_findings; i++) {
        struct pgdbm__check_suppression *suppression = find(run, &run->findings[i]);
        if (suppression == NULL)
            continue;
        suppression->used = true;
        run->findings[i].suppressed_because = suppression->reason;
    }
    for (size_t i = 0; i < run->n_files; i++)
        for (size_t j = 0; fine && j < run->files[i].n_suppressions; j++) {
            const struct pgdbm__check_suppression *suppression = &run->files[i].suppressions[j];
            /* Without the parser nothing that it would find is found. */
            bool looked_for = pgdbm__check_has_parser() || pgdbm__check_is_c_rule(suppression->rule);
            if (!suppression->used && looked_for)
                fine = pgdbm__check_add(run, &pgdbm__check_rule_bad_suppression, run->files[i].path, suppression->place,
                                        "nothing here breaks the rule %s", suppression->rule->id);
        }
    return fine;
}
