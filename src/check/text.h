/* SPDX-License-Identifier: MIT */
/* A text of SQL while it is read. Everything here belongs to one call of pgdbm__check_read_sql, and to its thread. Offsets
 * are those of the caller's text: templates are replaced by names that are as long as they were. */
#ifndef PGDBM_CHECK_TEXT_H
#define PGDBM_CHECK_TEXT_H

#include "check/names.h"
#include "check/rules_sql.h"
#include "check/tree.h"

/* What a template becomes begins with it, in quotation marks: {{tables.users}} is "{"."users", {{tables.billing.users}}
 * "{billing"."users", {{schema}} "{". */
#define PGDBM__CHECK_MARK '{'

#define PGDBM__CHECK_NAME_BYTES 256

/* A place, and the offset it belongs to: the way to the next one begins here. */
struct pgdbm__check_cursor {
    size_t offset, piece;
    struct pgdbm__check_place place;
};

struct pgdbm__check_text {
    struct pgdbm__check_run *run;
    const struct pgdbm__check_sql *sql;
    struct pgdbm__check_names *names;
    char *text; /* expanded, with NUL bytes behind it */
    size_t bytes;
    struct pgdbm__check_cursor cursor; /* where the last place was asked for */
    struct pgdbm__check_cursor anchor; /* at a statement, or before it */
    size_t statement;                  /* where the one at hand begins */

    /* A migration: what its comments say. */
    bool no_transaction;
    size_t down;  /* where the way back begins; the text's length when there is none */
    bool is_down; /* its first statement was met */

    /* Of the body at hand, or of none. */
    bool runs;       /* its statements run with the migration: it is none, or a DO block's */
    bool is_trigger; /* bare names may be transition tables */
    bool has_path;   /* SET search_path of its function */

    /* What the statements before have done. */
    struct pgdbm__check_set known;
    bool has_enum_values; /* some KNOWN_ENUM_VALUE */
    bool lock_timeout_off;
    bool lock_timeout_told;
    bool no_memory;
};

/* A statement: its part of the tree and of the text. */
struct pgdbm__check_statement {
    const struct pgdbm__check_tree *tree;
    uint32_t node; /* the object whose key is the kind: "SelectStmt" */
    size_t base;   /* what the tree's locations count from */
    size_t begin;  /* the first byte that is neither blank nor comment */
    size_t end;
    bool down;     /* belongs to the way back of a migration */
    unsigned body; /* in how many bodies of functions it stands */
};

/* sql.c */
struct pgdbm__check_place pgdbm__check_place_of(struct pgdbm__check_text *text, size_t offset);
void pgdbm__check_report(struct pgdbm__check_text *text, const struct pgdbm__check_rule *rule, size_t offset,
                         const char *format, ...) __attribute__((format(printf, 4, 5)));
void pgdbm__check_know(struct pgdbm__check_text *text, enum pgdbm__check_kind kind, const char *name);
bool pgdbm__check_knows(const struct pgdbm__check_text *text, enum pgdbm__check_kind kind, const char *name);
/* Reads a part of the text that stands for itself. Quiet: what cannot be parsed is passed over. */
void pgdbm__check_read_part(struct pgdbm__check_text *text, size_t begin, size_t end, unsigned body, bool quiet);
/* The same of what is one statement, and quiet. False: it could not be parsed. */
bool pgdbm__check_read_statement(struct pgdbm__check_text *text, size_t begin, size_t end, unsigned body);
/* Where a word stands between two offsets, or `begin` when it does not. */
size_t pgdbm__check_find_word(const struct pgdbm__check_text *text, size_t begin, size_t end, const char *word);

/* template.c: replaces the templates, reports those that are malformed. */
void pgdbm__check_expand(struct pgdbm__check_text *text);

/* script.c: what a migration's comments say; what psql would take for itself is made blank. */
void pgdbm__check_read_script(struct pgdbm__check_text *text);
/* What the comments before the way back say. */
void pgdbm__check_enter_down(struct pgdbm__check_text *text);
/* The first byte from `at` on that is neither blank nor comment. */
size_t pgdbm__check_skip_blank(const char *text, size_t at, size_t end);

/* rows.c: makes rows of literals blank. */
void pgdbm__check_blank_rows(struct pgdbm__check_text *text);

/* names.c: collects references whose worth is known only when everything has been read. */
void pgdbm__check_names_templated(struct pgdbm__check_text *text, const char *table, size_t offset);
void pgdbm__check_names_bare(struct pgdbm__check_text *text, const char *table, size_t offset);
/* `table` is "" where only the schema is named. */
void pgdbm__check_names_qualified(struct pgdbm__check_text *text, const char *schema, const char *table, size_t offset);
/* The same of what is no table; `kind` is static: "function". A definition in public is remembered. */
void pgdbm__check_names_object(struct pgdbm__check_text *text, const char *schema, const char *kind, const char *name,
                               size_t offset, bool definition);
void pgdbm__check_names_know(struct pgdbm__check_text *text, enum pgdbm__check_kind kind, const char *name);

/* references.c: what a name of a table means; `schema` is "" for none. */
void pgdbm__check_refer(struct pgdbm__check_text *text, const char *schema, const char *table, size_t offset);
void pgdbm__check_refer_object(struct pgdbm__check_text *text, const char *schema, const char *kind, const char *name,
                               size_t offset, bool definition);

/* transactions.c: whether a list of DefElems has this one, and not as false. */
bool pgdbm__check_has_option(const struct pgdbm__check_tree *tree, uint32_t list, const char *name);

/* The rules that look at one statement. */
void pgdbm__check_references(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement);
void pgdbm__check_objects(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement);
void pgdbm__check_bodies(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement);
void pgdbm__check_settings(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement);
void pgdbm__check_transactions(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement);
void pgdbm__check_ddl(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement);

#endif
