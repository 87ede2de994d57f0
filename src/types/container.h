/* SPDX-License-Identifier: MIT */
/* Types made of others: arrays, ranges, multiranges, composites, hstore. Their binary forms are walked here, value by
 * value, each length checked before it is believed (the source of PostgreSQL, array_send, range_send, record_send; there
 * is no other documentation of them). */
#ifndef PGDBM_TYPES_CONTAINER_H
#define PGDBM_TYPES_CONTAINER_H

#include "types/type.h"

#define PGDBM__ARRAY_DIMENSIONS 6

/* What the head of an array says. */
struct pgdbm__array_head {
    size_t n_dimensions;
    int32_t sizes[PGDBM__ARRAY_DIMENSIONS];
    int32_t lower[PGDBM__ARRAY_DIMENSIONS];
    size_t count; /* of all elements */
};

/* Flags of a range's first byte. */
enum {
    PGDBM__RANGE_EMPTY = 0x01,
    PGDBM__RANGE_LOWER_INCLUSIVE = 0x02,
    PGDBM__RANGE_UPPER_INCLUSIVE = 0x04,
    PGDBM__RANGE_LOWER_INFINITE = 0x08,
    PGDBM__RANGE_UPPER_INFINITE = 0x10
};

/* What is still to be read of a container. */
struct pgdbm__reader {
    const char *at;
    size_t bytes;
};

/* False also when the elements are of another type than the array's: somebody has changed it since it was looked up. */
bool pgdbm__read_array_head(struct pgdbm__reader *reader, const struct pgdbm__type *type,
                            struct pgdbm__array_head *head);
bool pgdbm__read_int32(struct pgdbm__reader *reader, int32_t *number);
/* A length and that many bytes; NULL has length -1 and no bytes. */
bool pgdbm__read_item(struct pgdbm__reader *reader, const char **data, int32_t *length);
/* The same behind the OID of its type, which must be this one. */
bool pgdbm__read_field(struct pgdbm__reader *reader, const struct pgdbm__type *type, const char **data,
                       int32_t *length);

bool pgdbm__print_text(const struct pgdbm__type *type, const char *data, size_t bytes, struct pgdbm__buffer *out);
bool pgdbm__parse_text(const struct pgdbm__type *type, const char *text, size_t bytes, struct pgdbm__buffer *out);
bool pgdbm__print_array(const struct pgdbm__type *type, const char *data, size_t bytes, struct pgdbm__buffer *out);
bool pgdbm__print_range(const struct pgdbm__type *type, const char *data, size_t bytes, struct pgdbm__buffer *out);
bool pgdbm__print_multirange(const struct pgdbm__type *type, const char *data, size_t bytes, struct pgdbm__buffer *out);
bool pgdbm__print_composite(const struct pgdbm__type *type, const char *data, size_t bytes, struct pgdbm__buffer *out);
bool pgdbm__print_hstore(const struct pgdbm__type *type, const char *data, size_t bytes, struct pgdbm__buffer *out);

/* Appends a text as it stands inside of a container's text: quoted where it must be. */
void pgdbm__quote_element(const char *text, size_t bytes, char delimiter, struct pgdbm__buffer *out);
void pgdbm__quote_field(const char *text, size_t bytes, struct pgdbm__buffer *out);
void pgdbm__quote_bound(const char *text, size_t bytes, struct pgdbm__buffer *out);

#endif
