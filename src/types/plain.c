/* SPDX-License-Identifier: MIT */
/* Scalars whose text is close to their bytes: bool, integers, floating-point numbers, bytea, "char", uuid, bit, jsonb. */
#include "types/number.h"
#include "types/scalar.h"
#include "types/text.h"

PGDBM__PRINT(bool)
{
    if (bytes != 1)
        return false;
    pgdbm__buffer_append(out, data[0] != 0 ? "t" : "f", 1);
    return true;
}

PGDBM__PARSE(bool)
{
    bool yes = pgdbm__text_is(text, bytes, "t") || pgdbm__text_is(text, bytes, "true");
    if (!yes && !pgdbm__text_is(text, bytes, "f") && !pgdbm__text_is(text, bytes, "false"))
        return false;
    pgdbm__buffer_append(out, yes ? "\1" : "\0", 1);
    return true;
}

static void print_integer(int64_t value, struct pgdbm__buffer *out)
{
    char text[24];
    char *at = text;
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    if (value < 0)
        *at++ = '-';
    at = pgdbm__write_number(at, magnitude);
    pgdbm__buffer_append(out, text, (size_t)(at - text));
}

/* `bits` 16, 32 or 64. */
static bool parse_integer(const char *text, size_t bytes, int bits, struct pgdbm__buffer *out)
{
    struct pgdbm__text rest = {text, text + bytes};
    char data[8];
    uint64_t value;
    bool negative = pgdbm__text_take(&rest, '-');
    uint64_t limit = (UINT64_C(1) << (bits - 1)) - (negative ? 0 : 1);
    if (pgdbm__text_number(&rest, &value) == 0 || rest.at != rest.end || value > limit)
        return false;
    pgdbm__put_uint64(data, negative ? 0 - value : value);
    pgdbm__buffer_append(out, data + 8 - bits / 8, (size_t)bits / 8);
    return true;
}

PGDBM__PRINT(int2)
{
    if (bytes != 2)
        return false;
    print_integer((int16_t)pgdbm__get_uint16(data), out);
    return true;
}

PGDBM__PARSE(int2)
{
    return parse_integer(text, bytes, 16, out);
}

PGDBM__PRINT(int4)
{
    if (bytes != 4)
        return false;
    print_integer((int32_t)pgdbm__get_uint32(data), out);
    return true;
}

PGDBM__PARSE(int4)
{
    return parse_integer(text, bytes, 32, out);
}

PGDBM__PRINT(int8)
{
    if (bytes != 8)
        return false;
    print_integer((int64_t)pgdbm__get_uint64(data), out);
    return true;
}

PGDBM__PARSE(int8)
{
    return parse_integer(text, bytes, 64, out);
}

PGDBM__PRINT(oid)
{
    if (bytes != 4)
        return false;
    print_integer(pgdbm__get_uint32(data), out);
    return true;
}

/* The server takes negative numbers, too, and wraps them. */
PGDBM__PARSE(oid)
{
    struct pgdbm__text rest = {text, text + bytes};
    char data[4];
    uint64_t value;
    if (pgdbm__text_number(&rest, &value) == 0 || rest.at != rest.end || value > UINT32_MAX)
        return false;
    pgdbm__put_uint32(data, (uint32_t)value);
    pgdbm__buffer_append(out, data, sizeof data);
    return true;
}

PGDBM__PRINT(float4)
{
    char text[PGDBM__NUMBER_BYTES];
    float value;
    if (bytes != 4)
        return false;
    uint32_t bits = pgdbm__get_uint32(data);
    memcpy(&value, &bits, sizeof value);
    pgdbm__buffer_append(out, text, (size_t)pgdbm__float_text(value, text));
    return true;
}

PGDBM__PARSE(float4)
{
    char data[4];
    uint32_t bits;
    float value;
    if (!pgdbm__float_scan(text, bytes, &value))
        return false;
    memcpy(&bits, &value, sizeof bits);
    pgdbm__put_uint32(data, bits);
    pgdbm__buffer_append(out, data, sizeof data);
    return true;
}

PGDBM__PRINT(float8)
{
    char text[PGDBM__NUMBER_BYTES];
    double value;
    if (bytes != 8)
        return false;
    uint64_t bits = pgdbm__get_uint64(data);
    memcpy(&value, &bits, sizeof value);
    pgdbm__buffer_append(out, text, (size_t)pgdbm__double_text(value, text));
    return true;
}

PGDBM__PARSE(float8)
{
    char data[8];
    uint64_t bits;
    double value;
    if (!pgdbm__double_scan(text, bytes, &value))
        return false;
    memcpy(&bits, &value, sizeof bits);
    pgdbm__put_uint64(data, bits);
    pgdbm__buffer_append(out, data, sizeof data);
    return true;
}

/* Half of the address space makes pgdbm__buffer_reserve fail, so that the product below cannot wrap. */
PGDBM__PRINT(bytea)
{
    if (pgdbm__buffer_reserve(out, bytes < SIZE_MAX / 4 ? bytes * 2 + 2 : SIZE_MAX)) {
        char *end = pgdbm__hex_write(pgdbm__write_word(out->data + out->length, "\\x"), data, bytes);
        out->length = (size_t)(end - out->data);
    }
    return true;
}

PGDBM__PARSE(bytea)
{
    if (bytes < 2 || bytes % 2 != 0 || memcmp(text, "\\x", 2) != 0)
        return false;
    if (!pgdbm__buffer_reserve(out, bytes / 2))
        return true;
    char *at = out->data + out->length;
    for (size_t i = 2; i < bytes; i += 2)
        if (!pgdbm__hex_read(text + i, at++))
            return false;
    out->length = (size_t)(at - out->data);
    return true;
}

/* A zero is an empty text; a byte that is no ASCII is written as \ooo, for it may be no character at all. */
PGDBM__PRINT(char)
{
    if (bytes != 1)
        return false;
    unsigned byte = (unsigned char)data[0];
    const char escaped[] = {'\\', (char)('0' + (byte >> 6)), (char)('0' + (byte >> 3 & 7)), (char)('0' + (byte & 7))};
    if (byte >= 128)
        pgdbm__buffer_append(out, escaped, sizeof escaped);
    else
        pgdbm__buffer_append(out, data, byte != 0);
    return true;
}

PGDBM__PARSE(char)
{
    int byte = bytes == 1 ? (unsigned char)text[0] : 0;
    if (bytes == 4 && text[0] == '\\' && (text[1] == '2' || text[1] == '3') && (text[2] & ~7) == '0' &&
        (text[3] & ~7) == '0')
        byte = (text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0');
    else if (bytes > 1 || (bytes == 1 && (byte == 0 || byte >= 128)))
        return false;
    const char data = (char)byte;
    pgdbm__buffer_append(out, &data, 1);
    return true;
}

size_t pgdbm__uuid_text(const pgdbm_uuid *uuid, char text[PGDBM__VALUE_TEXT_BYTES])
{
    char *at = text;
    for (size_t i = 0; i < sizeof uuid->bytes; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        at = pgdbm__hex_write(at, (const char *)uuid->bytes + i, 1);
    }
    return (size_t)(at - text);
}

/* As the server has it, a hyphen may stand behind each group of four digits. */
bool pgdbm__uuid_scan(const char *text, size_t bytes, pgdbm_uuid *uuid)
{
    struct pgdbm__text rest = {text, text + bytes};
    for (size_t i = 0; i < sizeof uuid->bytes; i++) {
        if (rest.end - rest.at < 2 || !pgdbm__hex_read(rest.at, (char *)&uuid->bytes[i]))
            return false;
        rest.at += 2;
        if (i % 2 == 1 && i < 15)
            pgdbm__text_take(&rest, '-');
    }
    return rest.at == rest.end;
}

PGDBM__PRINT(uuid)
{
    char text[PGDBM__VALUE_TEXT_BYTES];
    pgdbm_uuid uuid;
    if (bytes != sizeof uuid.bytes)
        return false;
    memcpy(uuid.bytes, data, bytes);
    pgdbm__buffer_append(out, text, pgdbm__uuid_text(&uuid, text));
    return true;
}

PGDBM__PARSE(uuid)
{
    pgdbm_uuid uuid;
    if (!pgdbm__uuid_scan(text, bytes, &uuid))
        return false;
    pgdbm__buffer_append(out, uuid.bytes, sizeof uuid.bytes);
    return true;
}

/* The count of bits, and the bits, the first in the highest bit of the first byte. */
PGDBM__PRINT(bit)
{
    if (bytes < 4)
        return false;
    uint32_t count = pgdbm__get_uint32(data);
    if (count > INT32_MAX || bytes - 4 != ((size_t)count + 7) / 8)
        return false;
    if (pgdbm__buffer_reserve(out, (size_t)count + 1)) {
        char *at = out->data + out->length;
        for (uint32_t i = 0; i < count; i++)
            at[i] = (char)('0' + ((unsigned char)data[4 + i / 8] >> (7 - i % 8) & 1));
        out->length += count;
    }
    return true;
}

PGDBM__PARSE(bit)
{
    if (bytes > INT32_MAX)
        return false;
    for (size_t i = 0; i < bytes; i++)
        if (text[i] != '0' && text[i] != '1')
            return false;
    size_t packed = (bytes + 7) / 8;
    if (pgdbm__buffer_reserve(out, 4 + packed)) {
        char *at = pgdbm__put_uint32(out->data + out->length, (uint32_t)bytes);
        memset(at, 0, packed);
        for (size_t i = 0; i < bytes; i++)
            at[i / 8] = (char)(at[i / 8] | (text[i] - '0') << (7 - i % 8));
        out->length += 4 + packed;
    }
    return true;
}

/* Version 1, the only one, is the text. */
PGDBM__PRINT(jsonb)
{
    if (bytes < 2 || data[0] != 1 || memchr(data, '\0', bytes) != NULL)
        return false;
    pgdbm__buffer_append(out, data + 1, bytes - 1);
    return true;
}

/* The server sees to it that it is one, as it does for binary values, too. */
PGDBM__PARSE(jsonb)
{
    if (bytes == 0 || memchr(text, '\0', bytes) != NULL)
        return false;
    pgdbm__buffer_append(out, "\1", 1);
    pgdbm__buffer_append(out, text, bytes);
    return true;
}
