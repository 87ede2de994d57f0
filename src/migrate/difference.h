/* SPDX-License-Identifier: MIT */
/* The difference of two texts, for an error message. Pure functions. */
#ifndef PGDBM_MIGRATE_DIFFERENCE_H
#define PGDBM_MIGRATE_DIFFERENCE_H

#include <stddef.h>

/* Writes the first place where the texts differ, line by line:
 *
 *     line 12:
 *       CREATE TABLE a (
 *     -     id int,
 *     +     id bigint,
 *
 * with what was recorded as -, and what is there now as +. Line ends and outer white space do not count, as in the checksum.
 * Long lines and long hunks are cut, at whole characters. "" when nothing differs. Needs no memory; linear time. `out_bytes` is
 * 128 at least. Returns `out`. */
const char *pgdbm__text_difference(const char *before, size_t before_bytes, const char *now, size_t now_bytes,
                                   char *out, size_t out_bytes);

#endif
