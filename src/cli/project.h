/* SPDX-License-Identifier: MIT */
/* A project: what pgdbm.conf says of its databases and modules, and what is meant without one. Made once by a command, read only
 * afterwards. One thread. */
#ifndef PGDBM_CLI_PROJECT_H
#define PGDBM_CLI_PROJECT_H

#include "inifile.h"

/* Texts a section holds, each NULL when it is not there. */
struct pgdbm__cli_environment {
    char *name;
    struct pgdbm__cli_ini_place place;
    char *url; /* or connection_string */
    char *host, *port, *database, *user, *password, *schema;
    char *ssl_enabled, *ssl_mode, *ssl_ca_file, *ssl_cert_file, *ssl_key_file;
    size_t lines[16]; /* where each key stands, in the order of the table of keys */
};

struct pgdbm__cli_names {
    char **names;
    size_t n_names;
    struct pgdbm__cli_ini_place place; /* of the line they stand on */
};

struct pgdbm__cli_module {
    char *name;
    struct pgdbm__cli_ini_place place;
    char *migrations_path; /* as a path from the working directory; migrations/NAME of the project unless it is said */
    char *schema;          /* NULL: the environment's */
    char *mode;            /* a remark of the project's to its readers; no command goes by it */
    char *per_schema;      /* "true": recorded as NAME_SCHEMA */
    struct pgdbm__cli_names depends_on;
};

/* Zero-initialise; pgdbm__cli_project_free in any case. */
struct pgdbm__cli_project {
    char *file;      /* NULL: there is none */
    char *directory; /* where the file lies, else the working directory; absolute */
    char *name, *default_env;
    struct pgdbm__cli_ini_place default_env_place;
    char *migrations_table;
    struct pgdbm__cli_environment *environments;
    size_t n_environments;
    const struct pgdbm__cli_environment
        *environment;                  /* the one that --env, PGDBM_ENV or default_env chose; NULL: none */
    struct pgdbm__cli_module *modules; /* in an order in which each comes behind what it depends on */
    size_t n_modules;
    char *min_connections, *max_connections; /* of [shared_pool] */
    struct pgdbm__cli_names pooled;          /* its modules */
};

/* Finds pgdbm.conf (or pgdbm.toml) from the working directory upwards, or where --config or PGDBM_CONFIG say, reads and
 * checks it, and chooses the environment. CLI_FINE without a file too; else CLI_USAGE after having said what is wrong. */
int pgdbm__cli_project_read(struct pgdbm__cli_project *project);
void pgdbm__cli_project_free(struct pgdbm__cli_project *project);

/* The module of this name; NULL after having said that there is none and which one was probably meant. */
const struct pgdbm__cli_module *pgdbm__cli_project_module(const struct pgdbm__cli_project *project, const char *name);

/* Whether destructive commands have to be told the database's name: the environment is called prod or production. */
bool pgdbm__cli_project_is_production(const struct pgdbm__cli_project *project);

#endif
