/* SPDX-License-Identifier: MIT */
/* Any answer to the question what a statement's types are: whatever the server says, what is believed is sound (no type is
 * made of itself, parts fit their wholes), everything that was asked for is known afterwards, and any value can be printed. */
#include "session/session.h"

#include "base/alloc.h"
#include "types/container.h"
#include "types/number.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COLUMNS = 7, ASKED = 4, FIRST_OID = 16384, OIDS = 64 };

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void require_sound(const struct pgdbm__type *type, unsigned depth)
{
    require(depth <= PGDBM__TYPE_DEPTH + 2 && type->depth <= PGDBM__TYPE_DEPTH);
    bool has_element = type->kind == PGDBM__TYPE_ARRAY || type->kind == PGDBM__TYPE_RANGE ||
                       type->kind == PGDBM__TYPE_MULTIRANGE || type->kind == PGDBM__TYPE_DOMAIN;
    require((type->print != NULL) == (type->kind != PGDBM__TYPE_OPAQUE && type->kind != PGDBM__TYPE_DOMAIN));
    require((type->element != NULL) == has_element);
    require(type->n_fields == 0 || type->kind == PGDBM__TYPE_COMPOSITE);
    if (has_element) {
        require(pgdbm__type_is_binary(type->element));
        require(type->kind != PGDBM__TYPE_MULTIRANGE || type->element->kind == PGDBM__TYPE_RANGE);
        require(type->kind != PGDBM__TYPE_DOMAIN || type->element->kind != PGDBM__TYPE_DOMAIN);
        require_sound(type->element, depth + 1);
    }
    for (size_t i = 0; i < type->n_fields; i++) {
        require(pgdbm__type_is_binary(type->fields[i].type));
        require_sound(type->fields[i].type, depth + 1);
    }
}

static struct pgdbm__description *describe(void)
{
    static const unsigned char body[2 + COLUMNS * 19] = {0, COLUMNS}; /* without names or types */
    struct pgdbm__description *description = NULL;
    require(pgdbm__description_parse(body, sizeof body, &description, NULL) == PGDBM_OK);
    for (size_t i = 0; i < COLUMNS; i++)
        description->columns[i].format = 0;
    return description;
}

/* Rows of lines, cells of what lies between spaces; a cell that is not there is NULL. */
static void add_row(pgdbm_result *rows, const char *line, size_t bytes)
{
    struct pgdbm__buffer body = {0};
    size_t at = 0;
    pgdbm__buffer_append(&body, "\0\7", 2);
    for (size_t i = 0; i < COLUMNS; i++) {
        const char *space = at < bytes ? memchr(line + at, ' ', bytes - at) : NULL;
        size_t length = at >= bytes ? 0 : space != NULL ? (size_t)(space - line) - at : bytes - at;
        char head[4] = {(char)255, (char)255, (char)255, (char)255};
        if (at < bytes)
            pgdbm__put_uint32(head, (uint32_t)length);
        pgdbm__buffer_append(&body, head, 4);
        pgdbm__buffer_append(&body, line + at, length);
        at += at < bytes ? length + 1 : 0;
    }
    require(pgdbm__result_append(rows, (const unsigned char *)body.data, body.length) == PGDBM__ROW_OK);
    pgdbm__buffer_free(&body);
}

static struct pgdbm__statement *ask(void)
{
    struct pgdbm__statement *statement = pgdbm__statement_new(1, "", NULL, "", 0);
    uint32_t *types = pgdbm__alloc(ASKED * sizeof *types);
    for (uint32_t i = 0; i < ASKED; i++)
        types[i] = FIRST_OID + i;
    require(pgdbm__statement_describe(statement, types, ASKED, NULL));
    return statement;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pgdbm__request request;
    struct pgdbm__description *description = describe();
    memset(&request, 0, sizeof request);
    request.catalog = pgdbm__catalog_new();
    request.generation = pgdbm__catalog_generation(request.catalog);
    request.statement = ask();
    request.result = pgdbm__result_new(description);
    const char *text = (const char *)data;
    for (size_t at = 0, end; at < size; at = end + 1) {
        const char *newline = memchr(text + at, '\n', size - at);
        end = newline != NULL ? (size_t)(newline - text) : size;
        add_row(request.result, text + at, end - at);
    }
    require(pgdbm__lookup_learn(&request) == PGDBM_OK);
    require(request.statement->ready);
    for (uint32_t oid = FIRST_OID; oid < FIRST_OID + OIDS; oid++) {
        const struct pgdbm__type *type = pgdbm__catalog_find(request.catalog, oid);
        struct pgdbm__buffer out = {0};
        require(type != NULL || oid >= FIRST_OID + ASKED);
        if (type != NULL)
            require_sound(type, 0);
        const struct pgdbm__type *base = type != NULL ? pgdbm__type_base(type) : NULL;
        if (base != NULL && base->print != NULL)
            (void)base->print(base, text, size, &out);
        pgdbm__buffer_free(&out);
    }
    pgdbm__statement_unref(request.statement);
    pgdbm__catalog_unref(request.catalog);
    pgdbm__description_unref(description);
    return 0;
}
