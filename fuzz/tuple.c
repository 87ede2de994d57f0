/* SPDX-License-Identifier: MIT */
/* A binary COPY of any bytes, in pieces of any size: the tuples that are found in it, as rows and as structs. */
#include "result/tuple.h"

#include "types/type.h"

#include <pgdbm/types.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct columns {
    int32_t number;
    const char *text, *printed;
    pgdbm_decimal decimal;
    pgdbm_inet inet;
    pgdbm_bits bits;
    bool has;
};

#define GIVEN(member, kind) PGDBM_FIELD_NULLABLE(struct columns, member, kind, has)

static const pgdbm_field fields[] = {
    GIVEN(number, PGDBM_INT32),    GIVEN(text, PGDBM_TEXT), GIVEN(printed, PGDBM_TEXT),
    GIVEN(decimal, PGDBM_DECIMAL), GIVEN(inet, PGDBM_INET), GIVEN(bits, PGDBM_BITS),
};
static const pgdbm_struct COLUMNS = PGDBM_STRUCT(struct columns, fields);

#define N_COLUMNS (sizeof fields / sizeof *fields)

/* int8, text, timestamptz, numeric, inet, varbit */
static const uint32_t types[N_COLUMNS] = {20, 25, 1184, 1700, 869, 1562};

static struct pgdbm__description *describe(void)
{
    struct pgdbm__description *made =
        calloc(1, sizeof *made + N_COLUMNS * sizeof *made->columns); /* never unreferenced to its end */
    made->references = 1;
    made->n_columns = N_COLUMNS;
    for (size_t i = 0; i < N_COLUMNS; i++)
        made->columns[i] = (struct pgdbm__column){
            .name = fields[i].column, .type = types[i], .format = 1, .info = pgdbm__type_builtin(types[i])};
    return made;
}

/* Whether it begins behind the header, then pieces; each is as long as the byte before it says. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pgdbm__description *description;
    if (description == NULL)
        description = describe();
    if (size < 1)
        return 0;
    struct pgdbm__tuple_reader reader = {.n_columns = N_COLUMNS, .headed = data[0] % 2 == 1};
    data++;
    size--;
    pgdbm_result *row = pgdbm__result_new(description);
    pgdbm_result *structs = NULL;
    if (pgdbm__structs_new(description, &COLUMNS, &structs, NULL) != PGDBM_OK)
        abort();
    enum pgdbm__tuple_found found = PGDBM__TUPLE_MORE;
    while (size > 1 && found == PGDBM__TUPLE_MORE) {
        size_t bytes = data[0] < size - 1 ? data[0] : size - 1;
        char *piece = malloc(bytes + 1);
        unsigned char *body;
        size_t length;
        memcpy(piece, data + 1, bytes);
        if (!pgdbm__tuples_feed(&reader, piece, bytes))
            abort();
        while ((found = pgdbm__tuples_next(&reader, &body, &length)) == PGDBM__TUPLE_ROW) {
            unsigned char behind = body[length];
            (void)pgdbm__structs_append(structs, body, length, NULL);
            if (pgdbm__result_borrow_row(row, body, length) != PGDBM__ROW_OK)
                abort();
            body[length] = behind;
        }
        free(piece);
        data += bytes + 1;
        size -= bytes + 1;
    }
    free(reader.held.data);
    pgdbm_result_free(row);
    pgdbm_result_free(structs);
    return 0;
}
