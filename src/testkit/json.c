/* SPDX-License-Identifier: MIT */
/* JSON, strictly: what this accepts the server's json accepts, but for what is in its strings (\u0000, bytes that are not
 * UTF-8). No state. */
#include "testkit/json.h"

#include "base/alloc.h"
#include "base/buffer.h"

#include <stdint.h>
#include <string.h>

bool pgdbm__json_fail(struct pgdbm__json *json, const char *fault)
{
    json->fault = fault;
    return false;
}

static char byte_at(const struct pgdbm__json *json)
{
    return json->at < json->bytes ? json->text[json->at] : '\0';
}

char pgdbm__json_peek(struct pgdbm__json *json)
{
    while (json->at < json->bytes && strchr(" \t\r\n", json->text[json->at]) != NULL && json->text[json->at] != '\0')
        json->at++;
    return byte_at(json);
}

bool pgdbm__json_accept(struct pgdbm__json *json, char byte)
{
    bool next = pgdbm__json_peek(json) == byte;
    json->at += next;
    return next;
}

bool pgdbm__json_expect(struct pgdbm__json *json, char byte, const char *fault)
{
    return pgdbm__json_accept(json, byte) || pgdbm__json_fail(json, fault);
}

/* --- strings --- */

/* The four digits behind \u. */
static bool read_unit(struct pgdbm__json *json, uint32_t *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        char byte = byte_at(json);
        uint32_t digit = byte >= '0' && byte <= '9'   ? (uint32_t)(byte - '0')
                         : byte >= 'a' && byte <= 'f' ? (uint32_t)(byte - 'a') + 10
                         : byte >= 'A' && byte <= 'F' ? (uint32_t)(byte - 'A') + 10
                                                      : 16;
        if (digit == 16)
            return pgdbm__json_fail(json, "\\u is not followed by four hexadecimal digits");
        *unit = *unit * 16 + digit;
        json->at++;
    }
    return true;
}

static void append_character(struct pgdbm__buffer *out, uint32_t character)
{
    char bytes[4];
    size_t length = character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    for (size_t i = length; i-- > 1; character >>= 6)
        bytes[i] = (char)(0x80 | (character & 0x3F));
    static const unsigned char leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    bytes[0] = (char)(leads[length] | character);
    pgdbm__buffer_append(out, bytes, length);
}

/* \uD83D\uDE00 is one character. */
static bool read_unicode(struct pgdbm__json *json, struct pgdbm__buffer *out)
{
    uint32_t character, low = 0;
    if (!read_unit(json, &character))
        return false;
    if (character >= 0xD800 && character < 0xDC00) {
        bool paired = json->bytes - json->at >= 2 && memcmp(json->text + json->at, "\\u", 2) == 0;
        json->at += paired ? 2 : 0;
        if (paired && !read_unit(json, &low))
            return false;
        if (low < 0xDC00 || low > 0xDFFF)
            return pgdbm__json_fail(json, "the first half of a surrogate pair is not followed by the second");
        character = 0x10000 + ((character - 0xD800) << 10) + (low - 0xDC00);
    } else if (character >= 0xDC00 && character < 0xE000)
        return pgdbm__json_fail(json, "the second half of a surrogate pair stands alone");
    if (out != NULL && character == 0)
        return pgdbm__json_fail(json, "a name cannot have \\u0000 in it");
    if (out != NULL)
        append_character(out, character);
    return true;
}

static bool read_escape(struct pgdbm__json *json, struct pgdbm__buffer *out)
{
    static const char escapes[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    char byte = byte_at(json);
    const char *found = byte != '\0' ? strchr(escapes, byte) : NULL;
    if (byte != 'u' && found == NULL)
        return pgdbm__json_fail(json, "\\ is followed by none of \" \\ / b f n r t u");
    json->at++;
    if (byte == 'u')
        return read_unicode(json, out);
    if (out != NULL)
        pgdbm__buffer_append(out, &meanings[found - escapes], 1);
    return true;
}

/* `out` may be NULL: the string is passed over. */
static bool read_string(struct pgdbm__json *json, struct pgdbm__buffer *out)
{
    size_t begin = json->at++;
    while (json->at < json->bytes && json->text[json->at] != '"') {
        unsigned char byte = (unsigned char)json->text[json->at];
        if (byte < 0x20)
            return pgdbm__json_fail(json, "a string has a line's end or another control character in it: write it as "
                                          "\\n, or close the string");
        if (byte != '\\' && out != NULL)
            pgdbm__buffer_append(out, &json->text[json->at], 1);
        json->at++;
        if (byte == '\\' && !read_escape(json, out))
            return false;
    }
    if (json->at++ < json->bytes)
        return true;
    json->at = begin;
    return pgdbm__json_fail(json, "a string is not closed");
}

bool pgdbm__json_string(struct pgdbm__json *json, char **string)
{
    struct pgdbm__buffer out = {0};
    if (pgdbm__json_peek(json) != '"')
        return pgdbm__json_fail(json, "a name in double quotes is expected");
    bool good = read_string(json, &out);
    if (good) {
        *string = pgdbm__buffer_take(&out);
        json->nomem = *string == NULL;
    }
    pgdbm__buffer_free(&out);
    return good && !json->nomem;
}

/* --- values --- */

static bool read_digits(struct pgdbm__json *json)
{
    size_t begin = json->at;
    while (byte_at(json) >= '0' && byte_at(json) <= '9')
        json->at++;
    return json->at > begin || pgdbm__json_fail(json, "a digit is missing");
}

static bool read_number(struct pgdbm__json *json)
{
    json->at += byte_at(json) == '-';
    if (byte_at(json) == '0')
        json->at++; /* no other digit may follow */
    else if (!read_digits(json))
        return false;
    if (byte_at(json) == '.') {
        json->at++;
        if (!read_digits(json))
            return false;
    }
    if (byte_at(json) == 'e' || byte_at(json) == 'E') {
        json->at++;
        json->at += byte_at(json) == '-' || byte_at(json) == '+';
        if (!read_digits(json))
            return false;
    }
    return true;
}

static bool read_word(struct pgdbm__json *json)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < 3; i++) {
        size_t length = strlen(words[i]);
        if (json->bytes - json->at >= length && memcmp(json->text + json->at, words[i], length) == 0) {
            json->at += length;
            return true;
        }
    }
    return pgdbm__json_fail(json, "a value is expected");
}

/* What can stand alone. */
static bool read_scalar(struct pgdbm__json *json)
{
    char byte = byte_at(json);
    if (byte == '"')
        return read_string(json, NULL);
    if (byte == '-' || (byte >= '0' && byte <= '9'))
        return read_number(json);
    return read_word(json);
}

/* "name": in an object. */
static bool read_name(struct pgdbm__json *json)
{
    if (pgdbm__json_peek(json) != '"')
        return pgdbm__json_fail(json, "a name in double quotes is expected");
    return read_string(json, NULL) && pgdbm__json_expect(json, ':', "a colon is expected");
}

/* Behind a value in `open`: closes what ends, and passes over a comma and the name behind it. *again: a value follows. */
static bool read_behind(struct pgdbm__json *json, char *open, size_t *depth, bool *again)
{
    *again = false;
    while (*depth > 0 && !*again) {
        bool object = open[*depth - 1] == '{';
        if (pgdbm__json_accept(json, object ? '}' : ']'))
            --*depth;
        else if (!pgdbm__json_expect(json, ',', object ? "a comma or } is expected" : "a comma or ] is expected"))
            return false;
        else if (object && !read_name(json))
            return false;
        else
            *again = true;
    }
    return true;
}

bool pgdbm__json_value(struct pgdbm__json *json)
{
    char open[PGDBM__JSON_DEPTH]; /* the brackets we are in */
    size_t depth = 0;
    bool again = true;
    while (again) {
        char byte = pgdbm__json_peek(json);
        if (byte != '{' && byte != '[') {
            if (!read_scalar(json) || !read_behind(json, open, &depth, &again))
                return false;
            continue;
        }
        if (depth == sizeof open)
            return pgdbm__json_fail(json, "arrays and objects lie too deep in each other");
        open[depth++] = byte;
        json->at++;
        if (pgdbm__json_peek(json) == (byte == '{' ? '}' : ']')) {
            if (!read_behind(json, open, &depth, &again))
                return false;
        } else if (byte == '{' && !read_name(json))
            return false;
    }
    return true;
}
