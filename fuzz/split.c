/* SPDX-License-Identifier: MIT */
/* Statement splitting over any text: the statements lie inside it, in order, and each is one statement by itself. */
#include "sql/split.h"
#include "sql/effects.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void require_one(const char *text, size_t bytes)
{
    struct pgdbm__splitter splitter;
    struct pgdbm__statement_span span;
    bool found = false;
    pgdbm__splitter_init(&splitter, text, bytes);
    require(pgdbm__split_next(&splitter, &span, &found, NULL) == PGDBM_OK && found && span.offset == 0 &&
            span.bytes == bytes);
    require(pgdbm__split_next(&splitter, &span, &found, NULL) == PGDBM_OK && !found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct pgdbm__splitter splitter;
    struct pgdbm__statement_span span;
    size_t end = 0;
    size_t line = 1;
    bool found = false;
    pgdbm__splitter_init(&splitter, text, size);
    while (pgdbm__split_next(&splitter, &span, &found, NULL) == PGDBM_OK && found) {
        require(span.bytes > 0 && span.offset >= end && span.offset + span.bytes <= size && span.line >= line);
        /* A byte order mark is only skipped at the very beginning, which for a statement in the middle it is not. */
        if (data[span.offset] != 0xEF)
            require_one(text + span.offset, span.bytes);
        end = span.offset + span.bytes;
        line = span.line;
    }
    (void)pgdbm__sql_effects(text, size);
    return 0;
}
