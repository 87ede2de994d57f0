/* SPDX-License-Identifier: MIT */
/* A file of C or C++ while it is read. Everything here belongs to one call of pgdbm__check_read_source. */
#ifndef PGDBM_CHECK_SOURCE_H
#define PGDBM_CHECK_SOURCE_H

#include "check/lexer.h"
#include "check/run.h"

/* Tokens [begin, end). */
struct pgdbm__span {
    size_t begin, end;
};

/* A function's definition. */
struct pgdbm__function {
    size_t name;                   /* the token */
    struct pgdbm__span parameters; /* without the parentheses */
    struct pgdbm__span body;       /* with the braces */
    bool opens;                    /* has a call that opens a pool */
    bool searched;                 /* for what follows: names of variables whose text it puts together, sorted */
    size_t *built;
    size_t n_built;
};

/* A name that stands for a string: #define NAME "..." or const char NAME[] = "...". */
struct pgdbm__constant {
    const char *name;
    size_t name_bytes;
    struct pgdbm__span strings; /* tokens of `tokens` */
    const struct pgdbm__tokens *tokens;
    struct pgdbm__span scope; /* where the name means it */
    bool read;                /* its text was looked at already */
};

struct pgdbm__source {
    struct pgdbm__check_run *run;
    struct pgdbm__check_file *file;
    struct pgdbm__check_names *names;
    struct pgdbm__tokens tokens;
    size_t *behind;                /* of each opening bracket: the token behind the one that closes it */
    struct pgdbm__tokens *defines; /* what stands behind #define NAME, each */
    size_t n_defines;
    struct pgdbm__function *functions;
    size_t n_functions;
    struct pgdbm__constant *constants;
    size_t n_constants;
    size_t *assigned; /* names before a single =, sorted by name, then by place */
    size_t n_assigned;
    size_t effort; /* how many more tokens may be looked at again; 0: what needs that is left alone */
    bool no_memory;
};

/* structure.c */

/* Finds functions and constants. Sets no_memory. */
void pgdbm__source_structure(struct pgdbm__source *source);
void pgdbm__source_free(struct pgdbm__source *source);

/* The token behind the bracket that closes the one at `at`; the file's end when nothing does, or there is none. */
size_t pgdbm__source_behind(const struct pgdbm__source *source, size_t at);
/* The token behind the one at `at`, or behind the brackets that it opens when they close before `end`. */
size_t pgdbm__source_next(const struct pgdbm__source *source, size_t at, size_t end);
/* The arguments between the parentheses of a call whose name is at `at`: at most `most` spans; their number. */
size_t pgdbm__source_arguments(const struct pgdbm__source *source, size_t at, struct pgdbm__span *arguments,
                               size_t most);
/* Takes `tokens` off what may be looked at again; false: that much is not left, and from now on nothing is. A file that some
 * program made may have a million calls in one function. */
bool pgdbm__source_spend(struct pgdbm__source *source, size_t tokens);
/* The function whose body has the token, or NULL. */
const struct pgdbm__function *pgdbm__source_function(const struct pgdbm__source *source, size_t at);
/* The constant that the name at `at` stands for there, or NULL. */
struct pgdbm__constant *pgdbm__source_constant(struct pgdbm__source *source, size_t at);

/* Orders tokens by their texts. */
int pgdbm__source_compare(const struct pgdbm__source *source, size_t a, size_t b);
/* Sorts names by their texts, then by place. */
void pgdbm__source_sort(const struct pgdbm__source *source, size_t *names, size_t n);
/* The first of sorted names that has the text of `name`, or would come behind it. */
size_t pgdbm__source_find(const struct pgdbm__source *source, const size_t *names, size_t n, size_t name);

/* Whether two tokens are the same text; whether two spans are. */
bool pgdbm__source_same(const struct pgdbm__source *source, size_t a, size_t b);
bool pgdbm__source_same_span(const struct pgdbm__source *source, struct pgdbm__span a, struct pgdbm__span b);

/* Shorthands. */
bool pgdbm__source_is(const struct pgdbm__source *source, size_t at, const char *word);
bool pgdbm__source_is_name(const struct pgdbm__source *source, size_t at);

/* statements.c: SQL in calls. */
void pgdbm__source_read_sql(struct pgdbm__source *source);
/* habits.c: the other rules. */
void pgdbm__source_read_habits(struct pgdbm__source *source);

#endif
