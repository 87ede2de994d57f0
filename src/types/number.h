/* SPDX-License-Identifier: MIT */
/* Numbers in network order, and floating-point numbers as PostgreSQL prints them (shortest digits that read back the
 * same). */
#ifndef PGDBM_TYPES_NUMBER_H
#define PGDBM_TYPES_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PGDBM__NUMBER_BYTES 40

static inline uint16_t pgdbm__get_uint16(const void *at)
{
    const unsigned char *bytes = at;
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static inline uint32_t pgdbm__get_uint32(const void *at)
{
    const unsigned char *bytes = at;
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static inline uint64_t pgdbm__get_uint64(const void *at)
{
    return (uint64_t)pgdbm__get_uint32(at) << 32 | pgdbm__get_uint32((const unsigned char *)at + 4);
}

static inline char *pgdbm__put_uint16(char *at, uint16_t value)
{
    at[0] = (char)(value >> 8);
    at[1] = (char)value;
    return at + 2;
}

static inline char *pgdbm__put_uint32(char *at, uint32_t value)
{
    return pgdbm__put_uint16(pgdbm__put_uint16(at, (uint16_t)(value >> 16)), (uint16_t)value);
}

static inline char *pgdbm__put_uint64(char *at, uint64_t value)
{
    return pgdbm__put_uint32(pgdbm__put_uint32(at, (uint32_t)(value >> 32)), (uint32_t)value);
}

/* Writes the text with its NUL; returns its length. */
int pgdbm__double_text(double value, char text[PGDBM__NUMBER_BYTES]);
int pgdbm__float_text(float value, char text[PGDBM__NUMBER_BYTES]);

/* Reads what those write, and plain decimal numbers of moderate length. False for all others, and for what the type can
 * only hold as infinity or zero: PostgreSQL refuses that. */
bool pgdbm__double_scan(const char *text, size_t bytes, double *value);
bool pgdbm__float_scan(const char *text, size_t bytes, float *value);

#endif
