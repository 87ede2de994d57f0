/* SPDX-License-Identifier: MIT */
/* A run over files: what was read, what was found. Files are read by several threads, which add findings under the run's lock;
 * everything else is the caller's thread's. */
#ifndef PGDBM_CHECK_RUN_H
#define PGDBM_CHECK_RUN_H

#include "check/check.h"

#include <pthread.h>

/* A comment that allows something: suppress.c says how it is written. */
struct pgdbm__check_suppression {
    struct pgdbm__check_place place;
    size_t last_line; /* it holds from its own line to this one */
    const struct pgdbm__check_rule *rule;
    char *reason;
    bool used;
};

struct pgdbm__check_file {
    char *path;
    bool sql;
    bool migration;
    bool unreadable;
    const char *why; /* it could not be read; static */
    size_t bytes;
    size_t not_checked; /* SQL that is put together where it cannot be seen */
    struct pgdbm__check_suppression *suppressions;
    size_t n_suppressions;
};

/* A statement that was not checked. */
struct pgdbm__check_remark {
    const char *file;
    struct pgdbm__check_place place;
    const char *why; /* static */
};

struct pgdbm__check_run {
    struct pgdbm__check_file *files; /* in the order in which they are to be shown */
    size_t n_files, file_capacity;
    void (*on_file)(size_t done, size_t total); /* told now and then, by any of the threads; may be NULL */
    struct pgdbm__check_file **by_path;         /* for pgdbm__check_file_of; made when all are read */
    pthread_mutex_t mutex;                      /* guards what follows while files are read */
    struct pgdbm__check_finding *findings;
    size_t n_findings, finding_capacity;
    struct pgdbm__check_remark *remarks; /* in the order of the findings */
    size_t n_remarks, remark_capacity;
    bool no_memory;
};

/* An empty run; NULL: no memory. */
struct pgdbm__check_run *pgdbm__check_run_create(void);
/* NULL is legal. */
void pgdbm__check_run_free(struct pgdbm__check_run *run);

/* Adds the file, or the files below the folder, that a program or its migrations consist of. False: `path` is not there or
 * cannot be looked into (errno); or no memory (ENOMEM). */
bool pgdbm__check_run_add_path(struct pgdbm__check_run *run, const char *path);

/* Reads all files and puts the findings in order; suppressed ones are marked, and suppressions that are wrong or useless are
 * findings themselves. False: no memory. */
bool pgdbm__check_run_read(struct pgdbm__check_run *run);

/* The file of this path. */
struct pgdbm__check_file *pgdbm__check_file_of(const struct pgdbm__check_run *run, const char *path);

/* Reads the whole file; free() it. NULL, and why as a static text. */
char *pgdbm__check_file_text(const char *path, size_t *bytes, const char **why);

/* For files.c: the comments of a file that allow something. False: no memory. */
bool pgdbm__check_find_suppressions(struct pgdbm__check_run *run, struct pgdbm__check_file *file, const char *text,
                                    size_t bytes);
/* Marks what they suppress, and adds a finding for those that are of no use. */
bool pgdbm__check_apply_suppressions(struct pgdbm__check_run *run);

/* Reads C or C++. False: no memory. */
bool pgdbm__check_read_source(struct pgdbm__check_run *run, struct pgdbm__check_file *file, const char *text,
                              size_t bytes, struct pgdbm__check_names *names);

/* The rule of this id, or NULL; and the n-th of all, NULL behind the last. */
const struct pgdbm__check_rule *pgdbm__check_rule_find(const char *id, size_t id_bytes);
const struct pgdbm__check_rule *pgdbm__check_rule_at(size_t n);

#endif
