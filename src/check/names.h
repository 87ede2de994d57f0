/* SPDX-License-Identifier: MIT */
/* A set of names, each with a kind and the place where it was first seen. */
#ifndef PGDBM_CHECK_NAMES_H
#define PGDBM_CHECK_NAMES_H

#include "check/check.h"

/* What is known of a name. */
enum pgdbm__check_kind {
    KNOWN_TEMPLATED = 1,    /* {{tables.name}} */
    KNOWN_TEMPLATED_HERE,   /* the same, behind the name of a file and a line end */
    KNOWN_TEMPORARY,        /* CREATE TEMP TABLE name */
    KNOWN_EXTENSION_SCHEMA, /* CREATE EXTENSION ... SCHEMA name */
    KNOWN_IN_PUBLIC,        /* "function name": CREATE FUNCTION public.name */
    KNOWN_CREATED,          /* made earlier in the same file: nobody else uses it yet */
    KNOWN_NOT_VALID,        /* table.constraint, added NOT VALID in the same file */
    KNOWN_VALIDATED,        /* a table with a constraint that the same file validated */
    KNOWN_LOCKED,           /* a table that the same file has altered */
    KNOWN_ENUM_VALUE,       /* a value that the same file has added to a type in use */
    KNOWN_ENUM,             /* that type */
    KNOWN_TYPE,             /* a type that the same file has made */
    KNOWN_WITH              /* a name that WITH gives, of one statement */
};

struct pgdbm__check_name {
    enum pgdbm__check_kind kind;
    char *name;
    const char *file;
    struct pgdbm__check_place place;
};

/* Zero-initialise. */
struct pgdbm__check_set {
    struct pgdbm__check_name *slots; /* open addressing; a slot without a name is free */
    size_t capacity, used;
};

/* Adds a name unless it is there, from a file whose name is not behind this one's. `file` is borrowed. False: no memory. */
bool pgdbm__check_set_add(struct pgdbm__check_set *set, enum pgdbm__check_kind kind, const char *name, const char *file,
                          struct pgdbm__check_place place);
/* NULL: it is not there. */
const struct pgdbm__check_name *pgdbm__check_set_find(const struct pgdbm__check_set *set, enum pgdbm__check_kind kind,
                                                      const char *name);
void pgdbm__check_set_free(struct pgdbm__check_set *set);

#endif
