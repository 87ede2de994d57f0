/* SPDX-License-Identifier: MIT */
/* The three patterns as text: what `pgdbm choose` says. docs/choosing-a-pattern.md is the long form. Immutable data. */
#ifndef PGDBM_CLI_PATTERNS_H
#define PGDBM_CLI_PATTERNS_H

#include <stdbool.h>

enum pgdbm__cli_pattern_kind { CLI_STANDALONE = 0, CLI_SHARED_POOL, CLI_DUAL_MODE, CLI_N_PATTERNS };

/* The lines of the guide's selection table. */
enum pgdbm__cli_row_kind {
    CLI_ROW_LIBRARY = 0,
    CLI_ROW_MODULES,
    CLI_ROW_SERVICES,
    CLI_ROW_WORKER,
    CLI_ROW_SMALL,
    CLI_ROW_TENANTS,
    CLI_N_ROWS
};

struct pgdbm__cli_row {
    const char *name; /* as in JSON */
    const char *if_you_have;
    const char *key_indicator;
    enum pgdbm__cli_pattern_kind use;
};

extern const struct pgdbm__cli_row pgdbm__cli_rows[CLI_N_ROWS];

/* A sign that the pattern is the wrong one, and which would be right. */
struct pgdbm__cli_red_flag {
    const char *sign;
    const char *instead;
};

#define CLI_MAX_FLAGS 6

struct pgdbm__cli_pattern {
    const char *name; /* as in JSON */
    const char *title;
    const char *opened_by;
    struct pgdbm__cli_red_flag red_flags[CLI_MAX_FLAGS]; /* ends with an empty one */
    const char *code;                                    /* a file of examples/patterns, which the build compiles */
};

extern const struct pgdbm__cli_pattern pgdbm__cli_patterns[CLI_N_PATTERNS];

enum pgdbm__cli_worker { CLI_WORKER_NONE = 0, CLI_WORKER_SAME_PROCESS, CLI_WORKER_SEPARATE_PROCESS };
enum pgdbm__cli_manager { CLI_MANAGER_OWN = 0, CLI_MANAGER_HOST, CLI_MANAGER_EITHER };

/* The answers. Which of them count depends on the others: see pgdbm__cli_decide. */
struct pgdbm__cli_answers {
    bool library;
    int services; /* 0: not told, and of no matter */
    bool same_process;
    bool same_process_told;
    int tenants;
    enum pgdbm__cli_worker worker;
    enum pgdbm__cli_manager manager;
    bool manager_told;
};

#define CLI_MAX_NOTES 6

struct pgdbm__cli_choice {
    const struct pgdbm__cli_pattern *pattern;
    const struct pgdbm__cli_row *row;
    const char *why;
    const struct pgdbm__cli_row *worker;  /* of a worker in a process of its own; NULL: there is none */
    const char *notes[CLI_MAX_NOTES + 1]; /* for mixed and contradictory answers; NULL at the end */
};

/* The code is somebody else's to open, whatever it is called: nothing but dual mode can be right. */
bool pgdbm__cli_is_library(const struct pgdbm__cli_answers *answers);

/* The decision tree. */
struct pgdbm__cli_choice pgdbm__cli_decide(const struct pgdbm__cli_answers *answers);

/* The example files, written by CMake from examples/patterns. */
extern const char pgdbm__cli_code_standalone[];
extern const char pgdbm__cli_code_shared_pool[];
extern const char pgdbm__cli_code_dual_mode[];

#endif
