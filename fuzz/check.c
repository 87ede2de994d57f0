/* SPDX-License-Identifier: MIT */
/* Rules on SQL over any text, as a migration, its way back, a script and a literal: every finding lies in the text, and a text
 * without placeholders has none that is bad. */
#include "check/rules_sql.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct pgdbm__check_run {
    const char *text;
    size_t bytes;
    bool has_braces;
};

/* How many bytes a line has; its number is one of the text's. */
static size_t length_of(const struct pgdbm__check_run *run, size_t line)
{
    const char *at = run->text;
    const char *end = run->text + run->bytes;
    const char *line_end = at;
    for (;; at = line_end + 1) {
        line_end = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
        if (--line == 0)
            return (size_t)((line_end != NULL ? line_end : end) - at);
        if (line_end == NULL)
            abort();
    }
}

bool pgdbm__check_add(struct pgdbm__check_run *run, const struct pgdbm__check_rule *rule, const char *file,
                      struct pgdbm__check_place place, const char *format, ...)
{
    if (file == NULL || format == NULL || place.line == 0 || place.column == 0)
        abort();
    if (place.column > length_of(run, place.line) + 1)
        abort();
    if (rule == &pgdbm__check_rule_bad_template && !run->has_braces)
        abort();
    return true;
}

bool pgdbm__check_add_remark(struct pgdbm__check_run *run, const char *file, struct pgdbm__check_place place,
                             const char *why)
{
    if (file == NULL || why == NULL || place.line == 0 || place.column == 0)
        abort();
    if (place.column > length_of(run, place.line) + 1)
        abort();
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct pgdbm__check_piece first = {0, {1, 1}};
    struct pgdbm__check_run run = {.text = (const char *)data, .bytes = size};
    run.has_braces = size > 0 && memmem(data, size, "{{", 2) != NULL;
    const struct pgdbm__check_sql kinds[] = {
        {.file = "1_a.sql", .migration = true},
        {.file = "1_a.down.sql", .migration = true},
        {.file = "a.sql"},
        {.file = "a.c", .pieces = &first, .n_pieces = 1},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct pgdbm__check_sql sql = kinds[i];
        sql.text = run.text;
        sql.bytes = size;
        if (!pgdbm__check_read_sql(&run, &sql))
            abort();
    }
    return 0;
}
