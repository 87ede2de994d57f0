/* SPDX-License-Identifier: MIT */
/* Places and printable excerpts for error messages. No state; any thread. */
#include "sql/report.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

void pgdbm__place_advance(struct pgdbm__text_place *place, const char *text, size_t bytes, size_t from, size_t to)
{
    for (size_t i = from; i < to && i < bytes; i++) {
        if (text[i] == '\n' || (text[i] == '\r' && (i + 1 == bytes || text[i + 1] != '\n'))) {
            place->line++;
            place->column = 1;
        } else if (((unsigned char)text[i] & 0xC0) != 0x80)
            place->column++;
        else
            continue;
        if (place->character < INT_MAX)
            place->character++;
    }
}

struct pgdbm__text_place pgdbm__place_of(const char *text, size_t bytes, size_t offset)
{
    struct pgdbm__text_place place = PGDBM__PLACE_BEGIN;
    pgdbm__place_advance(&place, text, bytes, 0, offset);
    return place;
}

/* Bytes of the UTF-8 character at the beginning of `text`, or 0 when there is none that a terminal may be given:
 * control characters (C1 included), overlong forms, surrogates and beyond U+10FFFF. */
static size_t printable_character(const unsigned char *text, size_t bytes)
{
    unsigned char lead = text[0];
    if (lead < 0x80)
        return lead >= 0x20 && lead != 0x7F ? 1 : 0;
    size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || length > bytes)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    if ((lead == 0xC2 && text[1] < 0xA0) || (lead == 0xE0 && text[1] < 0xA0) || (lead == 0xED && text[1] > 0x9F) ||
        (lead == 0xF0 && text[1] < 0x90) || (lead == 0xF4 && text[1] > 0x8F))
        return 0;
    return length;
}

const char *pgdbm__printable(const char *text, size_t bytes, char *out, size_t out_bytes)
{
    static const char ellipsis[] = "\xE2\x80\xA6";
    const unsigned char *from = (const unsigned char *)text;
    size_t used = 0;
    size_t at = 0;
    while (at < bytes) {
        size_t length = printable_character(from + at, bytes - at);
        size_t needs = length > 0 ? length : sizeof "\\x00" - 1;
        if (used + needs + sizeof ellipsis > out_bytes) {
            memcpy(out + used, ellipsis, sizeof ellipsis - 1);
            used += sizeof ellipsis - 1;
            break;
        }
        if (length > 0)
            memcpy(out + used, from + at, length);
        else
            snprintf(out + used, needs + 1, "\\x%02X", (unsigned)from[at]);
        used += needs;
        at += length > 0 ? length : 1;
    }
    out[used] = '\0';
    return out;
}
