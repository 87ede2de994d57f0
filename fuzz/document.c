/* SPDX-License-Identifier: MIT */
/* JSON fixtures over any text: what is read lies inside of it, in order, and is read alone as the same; what is not read has
 * a fault on a line of the text. */
#include "testkit/document.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check(const struct pgdbm__document *document, const char *text, size_t size)
{
    size_t end = 0, names = 0, rows = 0;
    for (size_t i = 0; i < document->n_rows; i++) {
        const struct pgdbm__document_row *row = &document->rows[i];
        struct pgdbm__json json = {.text = text + row->offset, .bytes = row->bytes};
        require(row->offset >= end && row->bytes >= 2 && row->offset + row->bytes <= size && row->line > 0);
        require(pgdbm__json_value(&json) && json.at == row->bytes);
        require(row->first_name == names);
        names += row->n_names;
        end = row->offset + row->bytes;
    }
    for (size_t i = 0; i < document->n_tables; i++) {
        require(document->tables[i].name != NULL && document->tables[i].first_row == rows);
        rows += document->tables[i].n_rows;
    }
    require(rows == document->n_rows && names == document->n_names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pgdbm__document document = {0};
    struct pgdbm__document_fault fault;
    if (pgdbm__document_read(&document, (const char *)data, size, &fault))
        check(&document, (const char *)data, size);
    else
        require(fault.what != NULL && fault.line > 0 && fault.line <= size + 1);
    pgdbm__document_free(&document);
    return 0;
}
