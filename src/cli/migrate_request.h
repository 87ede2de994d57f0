/* SPDX-License-Identifier: MIT */
/* What the commands of `pgdbm migrate` are asked: which modules, and how. One thread. */
#ifndef PGDBM_CLI_MIGRATE_REQUEST_H
#define PGDBM_CLI_MIGRATE_REQUEST_H

#include "database.h"
#include "migrate_report.h"

/* One module, and what became of it. */
struct pgdbm__cli_part {
    struct pgdbm__cli_chosen chosen;
    const struct pgdbm__cli_module *module; /* of the project; NULL: it does not know it */
    pgdbm_migrations migrations;
    pgdbm_migrate_options how;
    pgdbm_db *db;
    pgdbm_migration_report *report;
    pgdbm_error err; /* of a call for all: what went wrong with this one */
};

/* Zero-initialise; stays where it is, because its parts point to each other; pgdbm__cli_request_free in any case. */
struct pgdbm__cli_request {
    struct pgdbm__cli_target target;
    bool all; /* the project's modules, each in its own schema, in an order in which dependencies come first */
    struct pgdbm__cli_part *parts;
    size_t n_parts;
    pgdbm_pool *pool;
    int count; /* 1 unless it is said */
    bool dry_run, json;
    bool waited; /* of pgdbm__cli_progress */
};

/* Whether a command is about all modules, if there are several, where neither --module nor --all says which. */
enum pgdbm__cli_default { CLI_DEFAULT_ONE = 0, CLI_DEFAULT_ALL };

/* Reads the options. The exit code, after having said what is wrong; nothing is contacted. */
int pgdbm__cli_request_read(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                            enum pgdbm__cli_default by_default, struct pgdbm__cli_request *request);

/* Opens a pool and a manager for each module. The exit code; the error is not said yet. */
int pgdbm__cli_request_open(struct pgdbm__cli_request *request, pgdbm_error *err);

void pgdbm__cli_request_free(struct pgdbm__cli_request *request);

/* What a verb of the library does for one module. */
pgdbm_status pgdbm__cli_call(enum pgdbm__cli_verb verb, const struct pgdbm__cli_request *request,
                             struct pgdbm__cli_part *part, pgdbm_error *err);

/* The same for all of them, up to the first that fails, whose part has the error, too. Looks go on. */
pgdbm_status pgdbm__cli_call_all(enum pgdbm__cli_verb verb, struct pgdbm__cli_request *request, pgdbm_error *err);

/* MIGRATION when something that the one module depends on is not migrated yet. */
pgdbm_status pgdbm__cli_check_dependencies(const struct pgdbm__cli_request *request, pgdbm_error *err);

/* Prints what became of a request, and says the error (NULL: none). False: out of memory, and said so. */
bool pgdbm__cli_print_request(enum pgdbm__cli_verb verb, const struct pgdbm__cli_request *request,
                              const pgdbm_error *err);

/* Says the error, with the line of the file it is about, and those of single modules. */
void pgdbm__cli_say_request_error(const struct pgdbm__cli_request *request, const pgdbm_error *err);

#endif
