/* SPDX-License-Identifier: MIT */
/* The pieces that the texts of values are made of: a place in a text that is being read, and digits. What is read came from
 * anywhere; what is written goes where the caller has made room. Any thread. */
#ifndef PGDBM_TYPES_TEXT_H
#define PGDBM_TYPES_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What is still to be read. */
struct pgdbm__text {
    const char *at;
    const char *end;
};

static inline bool pgdbm__text_is(const char *text, size_t bytes, const char *whole)
{
    return bytes == strlen(whole) && memcmp(text, whole, bytes) == 0;
}

static inline bool pgdbm__text_take(struct pgdbm__text *text, char byte)
{
    bool there = text->at < text->end && *text->at == byte;
    text->at += there;
    return there;
}

static inline bool pgdbm__text_word(struct pgdbm__text *text, const char *word)
{
    size_t bytes = strlen(word);
    bool there = (size_t)(text->end - text->at) >= bytes && memcmp(text->at, word, bytes) == 0;
    text->at += there ? bytes : 0;
    return there;
}

/* Goes over the digits; how many there were. */
static inline size_t pgdbm__text_digits(struct pgdbm__text *text)
{
    const char *begin = text->at;
    while (text->at < text->end && *text->at >= '0' && *text->at <= '9')
        text->at++;
    return (size_t)(text->at - begin);
}

/* All digits from here on as a number; how many there were. 0 when there are none or more than 19, which 64 bits might not
 * hold. */
static inline size_t pgdbm__text_number(struct pgdbm__text *text, uint64_t *value)
{
    const char *begin = text->at;
    size_t digits = pgdbm__text_digits(text);
    *value = 0;
    if (digits > 19)
        return 0;
    for (size_t i = 0; i < digits; i++)
        *value = *value * 10 + (uint64_t)(begin[i] - '0');
    return digits;
}

/* Two digits, no matter what follows. */
static inline bool pgdbm__text_pair(struct pgdbm__text *text, int *value)
{
    struct pgdbm__text pair = {text->at, text->end - text->at > 2 ? text->at + 2 : text->end};
    if (pgdbm__text_digits(&pair) != 2)
        return false;
    *value = (text->at[0] - '0') * 10 + (text->at[1] - '0');
    text->at = pair.at;
    return true;
}

/* A fraction of a second, if there is one, as microseconds. False when it is finer than that. */
static inline bool pgdbm__text_fraction(struct pgdbm__text *text, uint64_t *us)
{
    *us = 0;
    if (!pgdbm__text_take(text, '.'))
        return true;
    size_t digits = pgdbm__text_number(text, us);
    for (size_t i = digits; i < 6; i++)
        *us *= 10;
    return digits >= 1 && digits <= 6;
}

/* Writers return where they ended. So many digits, with zeros before. */
static inline char *pgdbm__write_padded(char *at, uint32_t value, int digits)
{
    for (int i = digits - 1; i >= 0; i--, value /= 10)
        at[i] = (char)('0' + value % 10);
    return at + digits;
}

static inline char *pgdbm__write_number(char *at, uint64_t value)
{
    char digits[20];
    size_t first = sizeof digits;
    do
        digits[--first] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    memcpy(at, digits + first, sizeof digits - first);
    return at + (sizeof digits - first);
}

static inline char *pgdbm__write_word(char *at, const char *word)
{
    size_t bytes = strlen(word);
    memcpy(at, word, bytes);
    return at + bytes;
}

static inline char *pgdbm__hex_write(char *at, const char *data, size_t bytes)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes; i++) {
        *at++ = digits[(unsigned char)data[i] >> 4];
        *at++ = digits[data[i] & 15];
    }
    return at;
}

/* The value of a hexadecimal digit, or -1. */
static inline int pgdbm__hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* Two digits, as a byte. */
static inline bool pgdbm__hex_read(const char *text, char *byte)
{
    int high = pgdbm__hex_digit(text[0]);
    int low = pgdbm__hex_digit(text[1]);
    *byte = (char)(high * 16 + low);
    return high >= 0 && low >= 0;
}

#endif
