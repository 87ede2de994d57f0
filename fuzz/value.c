/* SPDX-License-Identifier: MIT */
/* Any bytes as a value of any type: when it has a text, and the text is read, the value read must have the same text. */
#include "types/scalar.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    pgdbm__type_printer print;
    pgdbm__type_parser parse;
} types[] = {
#define TYPE(name)                                                                                                     \
    {                                                                                                                  \
        pgdbm__print_##name, pgdbm__parse_##name                                                                       \
    }
    TYPE(bool),  TYPE(int2), TYPE(int4), TYPE(int8), TYPE(oid),    TYPE(float4),    TYPE(float8),      TYPE(numeric),
    TYPE(bytea), TYPE(char), TYPE(date), TYPE(time), TYPE(timetz), TYPE(timestamp), TYPE(timestamptz), TYPE(interval),
    TYPE(uuid),  TYPE(inet), TYPE(cidr), TYPE(bit),  TYPE(jsonb),  TYPE(macaddr),
};

/* The first byte chooses the type; its highest bit, whether the rest is a text instead. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pgdbm__buffer value = {0};
    struct pgdbm__buffer text = {0};
    struct pgdbm__buffer again = {0};
    struct pgdbm__buffer same = {0};
    if (size < 1)
        return 0;
    size_t chosen = (data[0] & 127) % (sizeof types / sizeof *types);
    const char *rest = (const char *)data + 1;
    if ((data[0] & 128) == 0)
        pgdbm__buffer_append(&value, rest, size - 1);
    else if (!types[chosen].parse(NULL, rest, size - 1, &value) && value.length > 0)
        abort();
    if (types[chosen].print(NULL, value.data, value.length, &text)) {
        if (!types[chosen].parse(NULL, text.data, text.length, &again) ||
            !types[chosen].print(NULL, again.data, again.length, &same) || same.length != text.length ||
            (text.length > 0 && memcmp(same.data, text.data, text.length) != 0))
            abort();
    } else if ((data[0] & 128) != 0 && value.length > 0)
        abort();
    pgdbm__buffer_free(&value);
    pgdbm__buffer_free(&text);
    pgdbm__buffer_free(&again);
    pgdbm__buffer_free(&same);
    return 0;
}
