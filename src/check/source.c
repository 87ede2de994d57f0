/* SPDX-License-Identifier: MIT */
/* One file of C or C++. */
#include "check/source.h"

bool pgdbm__check_read_source(struct pgdbm__check_run *run, struct pgdbm__check_file *file, const char *text,
                              size_t bytes, struct pgdbm__check_names *names)
{
    enum { MOST_EFFORT = 20 * 1000 * 1000 };
    struct pgdbm__source source = {.run = run, .file = file, .names = names, .effort = MOST_EFFORT};
    const struct pgdbm__check_place begin = {1, 1};
    source.no_memory = !pgdbm__lex(&source.tokens, text, 0, bytes, begin);
    if (!source.no_memory)
        pgdbm__source_structure(&source);
    if (!source.no_memory)
        pgdbm__source_read_sql(&source);
    if (!source.no_memory)
        pgdbm__source_read_habits(&source);
    pgdbm__source_free(&source);
    return !source.no_memory;
}
