/* SPDX-License-Identifier: MIT */
/* The table of types: what each is called, how its values are printed and read, and what it is made of. The built-in ones
 * are fixed; those of users are found in the server's catalog, once per pool, and kept in a catalog of ours. */
#ifndef PGDBM_TYPES_TYPE_H
#define PGDBM_TYPES_TYPE_H

#include "base/buffer.h"

#include <stdint.h>

struct pgdbm__type;

/* Appends the text form of a binary value: what the type's output function gives with PostgreSQL's default settings and
 * TimeZone UTC, which is what the server sends in format text and what arrays are made of ('t' for a bool and '10.0.0.1' for
 * an inet, where value::text has 'true' and '10.0.0.1/32'). False when the bytes are no such value (`out` then has anything). Lack of memory is out->failed. */
typedef bool (*pgdbm__type_printer)(const struct pgdbm__type *type, const char *data, size_t bytes,
                                    struct pgdbm__buffer *out);

/* Appends the binary form of a text. Only plain texts are understood: false means that the server should be asked, not that
 * it is wrong. `out` is then what it was before. */
typedef bool (*pgdbm__type_parser)(const struct pgdbm__type *type, const char *text, size_t bytes,
                                   struct pgdbm__buffer *out);

enum pgdbm__type_kind {
    PGDBM__TYPE_SCALAR = 0,
    PGDBM__TYPE_TEXT, /* its binary form is its text: text, varchar, json, an enum, ... */
    PGDBM__TYPE_ARRAY,
    PGDBM__TYPE_RANGE,
    PGDBM__TYPE_MULTIRANGE,
    PGDBM__TYPE_COMPOSITE,
    PGDBM__TYPE_DOMAIN, /* `element` is what it is at bottom, never a domain itself */
    PGDBM__TYPE_HSTORE,
    PGDBM__TYPE_OPAQUE /* unknown here: its values travel as text */
};

/* How many types may lie in each other: values are walked by recursion, and the text of a composite doubles its quotes at each
 * level. One that goes deeper travels as text. */
#define PGDBM__TYPE_DEPTH 16

struct pgdbm__type_field {
    const char *name;
    const struct pgdbm__type *type;
};

struct pgdbm__type {
    uint32_t oid;
    enum pgdbm__type_kind kind;
    const char *name;                  /* as in messages */
    pgdbm__type_printer print;         /* NULL: OPAQUE */
    pgdbm__type_parser parse;          /* NULL: the server does it */
    const struct pgdbm__type *element; /* of ARRAY; subtype of RANGE; range of MULTIRANGE; base of DOMAIN */
    unsigned depth;                    /* of a user's: 1 more than what it is made of; 0 of a built-in one */
    char delimiter;                    /* between the elements of its array's text */
    size_t n_fields;                   /* COMPOSITE */
    const struct pgdbm__type_field *fields;
};

/* The built-in type with this OID, or NULL. */
const struct pgdbm__type *pgdbm__type_builtin(uint32_t oid);

/* Its values are those of this type: the bottom of a domain, else itself. */
static inline const struct pgdbm__type *pgdbm__type_base(const struct pgdbm__type *type)
{
    return type->kind == PGDBM__TYPE_DOMAIN ? type->element : type;
}

/* Whether its values can travel in binary. */
static inline bool pgdbm__type_is_binary(const struct pgdbm__type *type)
{
    return pgdbm__type_base(type)->kind != PGDBM__TYPE_OPAQUE;
}

#endif
