/* SPDX-License-Identifier: MIT */
/* The three patterns as text: what `pgdbm choose` says. docs/choosing-a-pattern.md is the long form. Immutable data. */
#ifndef PGDBM_CLI_PATTERNS_H
#define PGDBM_CLI_PATTERNS_H

#include <stdbool.h>

enum pgdbm__cli_pattern_kind { CLI_STANDALONE = 0, CLI_SHARED_POOL, CLI_DUAL_MODE, CLI_N_PATTERNS };

/* One line of the guide's selection table. */
struct pgdbm__cli_row {
    const char *if_you_have;
    const char *key_indicator;
};

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

/* The answers to the three questions. The later ones count only where the earlier ones leave the choice open. */
struct pgdbm__cli_answers {
    bool library;
    int services;
    bool same_process;
};

struct pgdbm__cli_choice {
    const struct pgdbm__cli_pattern *pattern;
    struct pgdbm__cli_row row;
    const char *why;
};

/* The decision tree. */
struct pgdbm__cli_choice pgdbm__cli_decide(const struct pgdbm__cli_answers *answers);

/* The example files, written by CMake from examples/patterns. */
extern const char pgdbm__cli_code_standalone[];
extern const char pgdbm__cli_code_shared_pool[];
extern const char pgdbm__cli_code_dual_mode[];

#endif
