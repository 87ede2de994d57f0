/* SPDX-License-Identifier: MIT */
/* Numbers in network order, and floating-point numbers as PostgreSQL prints them (shortest digits that read back the
 * same). */
#ifndef PGDBM_TYPES_NUMBER_H
#define PGDBM_TYPES_NUMBER_H

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

/* Writes the text with its NUL; returns its length. */
int pgdbm__double_text(double value, char text[PGDBM__NUMBER_BYTES]);
int pgdbm__float_text(float value, char text[PGDBM__NUMBER_BYTES]);

#endif
