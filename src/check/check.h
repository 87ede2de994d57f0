/* SPDX-License-Identifier: MIT */
/* What `pgdbm check` looks for, and where its parts meet: files.c finds what to read, source.c reads C, sql.c reads SQL, both
 * report findings here. Knows no database and no command line. A run belongs to one thread at a time. */
#ifndef PGDBM_CHECK_CHECK_H
#define PGDBM_CHECK_CHECK_H

#include <stdbool.h>
#include <stddef.h>

enum pgdbm__check_severity { CHECK_WARNING = 0, CHECK_ERROR };

struct pgdbm__check_rule {
    const char *id; /* "hard-coded-schema", as users write it in suppressions */
    enum pgdbm__check_severity severity;
    const char *summary; /* one line */
    const char *why;
    const char *fix;
};

/* A place in a file, from 1; the column counts bytes. */
struct pgdbm__check_place {
    size_t line, column;
};

struct pgdbm__check_finding {
    const struct pgdbm__check_rule *rule;
    const char *file;
    struct pgdbm__check_place place;
    char *message;
    const char *suppressed_because; /* the reason of the comment that suppresses it; NULL: it counts */
};

struct pgdbm__check_run;

/* Adds a finding. False: out of memory, which the run keeps in mind. */
bool pgdbm__check_add(struct pgdbm__check_run *run, const struct pgdbm__check_rule *rule, const char *file,
                      struct pgdbm__check_place place, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Adds that what stands at a place was not checked, and why (a static text). It counts as no finding. False: out of memory, which
 * the run keeps in mind. */
bool pgdbm__check_add_remark(struct pgdbm__check_run *run, const char *file, struct pgdbm__check_place place,
                             const char *why);

/* A text of SQL and where its bytes come from: a file as it is, or a string literal of C, whose escapes are undone and whose
 * adjacent parts are joined. */
struct pgdbm__check_piece {
    size_t offset;                   /* in the text; the first piece has 0 */
    struct pgdbm__check_place place; /* where that byte stands in the file; the bytes after it follow on */
};

struct pgdbm__check_names;

struct pgdbm__check_sql {
    const char *file;
    const char *text; /* not terminated by NUL */
    size_t bytes;
    const struct pgdbm__check_piece *pieces; /* ascending; NULL: the text is the file from its beginning */
    size_t n_pieces;
    bool migration; /* a numbered file of a directory of migrations: rules for those hold too */
    struct pgdbm__check_names
        *names; /* what the texts of a run know of each other's tables; NULL: this text is alone */
};

/* What is known of names across texts: a bare name may be a temporary table that another text makes. Create one for a run,
 * give it to each text, and report when all have been read; only then are references to tables and schemas findings. Texts
 * may be read by several threads at once. NULL: no memory. */
struct pgdbm__check_names *pgdbm__check_names_create(void);
/* False: out of memory. */
bool pgdbm__check_names_report(struct pgdbm__check_names *names, struct pgdbm__check_run *run);
void pgdbm__check_names_free(struct pgdbm__check_names *names);

/* Finds what is wrong with a text of SQL: templates are expanded with marker names first. Any thread; a long text is read on
 * a thread of its own, which this one waits for. False: out of memory. */
bool pgdbm__check_read_sql(struct pgdbm__check_run *run, const struct pgdbm__check_sql *sql);

/* Whether this build has the parser of PostgreSQL; without it pgdbm__check_read_sql finds nothing. */
bool pgdbm__check_has_parser(void);

#endif
