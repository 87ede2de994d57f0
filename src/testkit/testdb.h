/* SPDX-License-Identifier: MIT */
/* Throw-away databases from inside. */
#ifndef PGDBM_TESTKIT_TESTDB_H
#define PGDBM_TESTKIT_TESTDB_H

#include <pgdbm/testdb.h>
#include <stdint.h>
#include <sys/types.h>

/* PostgreSQL's limit on names, terminated. */
#define PGDBM__NAME_BYTES 64

/* address.c: where databases are made. */
struct pgdbm__address {
    char *url;          /* of a database that is there, to give orders from; pgdbm__free */
    bool is_private;    /* the kit's own server */
    char host[256];     /* "" when none is named; several have commas between them */
    char number[256];   /* hostaddr: where the connection goes, whatever the host is called */
    char service[64];   /* of libpq's service file, where anything may stand */
    char database[128]; /* the one of the url */
    char user[128];
};
/* `url` when it is given, else what the environment says, else the private server's, which is started if need be; without
 * `or_private` it is CONFIG then. */
pgdbm_status pgdbm__address_find(const char *url, bool or_private, struct pgdbm__address *address, pgdbm_error *err);
/* Nobody answers there: the next time another one is started. */
void pgdbm__address_forget_private(void);
void pgdbm__address_free(struct pgdbm__address *address);
/* The same server, another database; `*url` is for pgdbm__free. */
pgdbm_status pgdbm__address_of_database(const struct pgdbm__address *address, const char *database, char **url,
                                        pgdbm_error *err);

/* Where a connection string leads to. One host only, and PGHOST, PGHOSTADDR and PGPORT count as libpq counts them. */
struct pgdbm__endpoint {
    char host[256];  /* as a certificate would name it; or the directory of a socket */
    char reach[256]; /* its numeric address when that is given, else the host again */
    char port[16];
};
pgdbm_status pgdbm__address_endpoint(const char *url, struct pgdbm__endpoint *endpoint, pgdbm_error *err);
/* The same database by another way: host, hostaddr (`reach`, or none if that is empty) and port are replaced; `*detour` is
 * for pgdbm__free. */
pgdbm_status pgdbm__address_detour(const char *url, const struct pgdbm__endpoint *by, char **detour, pgdbm_error *err);

/* owner.c: whose a database is. Its name says so, because between CREATE DATABASE and COMMENT the owner may be killed. */
struct pgdbm__owner {
    pid_t pid;
    uint64_t start;  /* clock ticks after boot, as in /proc/PID/stat; 0: unknown */
    uint32_t host;   /* hash of the kernel's boot id and the process namespace; 0: unknown */
    int64_t created; /* seconds of the epoch */
};
enum pgdbm__owner_state { PGDBM__OWNER_LIVES = 0, PGDBM__OWNER_GONE, PGDBM__OWNER_ELSEWHERE };
/* This process, now. */
struct pgdbm__owner pgdbm__owner_self(void);
/* A new name; false when `name` is none of ours. */
void pgdbm__owner_name(const struct pgdbm__owner *owner, char name[PGDBM__NAME_BYTES]);
bool pgdbm__owner_parse(const char *name, struct pgdbm__owner *owner);
/* What all names of an owner begin with. */
void pgdbm__owner_prefix(const struct pgdbm__owner *owner, char prefix[PGDBM__NAME_BYTES]);
enum pgdbm__owner_state pgdbm__owner_look(const struct pgdbm__owner *owner);
/* "pgdbm testkit kind=test pid=...", without characters that would have to be quoted. */
#define PGDBM__COMMENT_BYTES 512
#define PGDBM__COMMENT_MARK "pgdbm testkit kind="
void pgdbm__owner_comment(const struct pgdbm__owner *owner, const char *kind, char text[PGDBM__COMMENT_BYTES]);

/* admin.c: a session to give orders from. Held by one thread. */
struct pgdbm__admin {
    pgdbm_db *manager;
    pgdbm_db *session; /* pinned */
};
pgdbm_status pgdbm__admin_open(const char *url, int timeout_ms, struct pgdbm__admin *admin, pgdbm_error *err);
void pgdbm__admin_close(struct pgdbm__admin *admin);
pgdbm_status pgdbm__admin_run(struct pgdbm__admin *admin, pgdbm_error *err, const char *format, ...) PGDBM_PRINTF(3, 4);
/* An advisory lock of the session's, kept until it ends: shared by those who make databases for an owner, so that whoever
 * has it alone knows that nothing is under way any more. */
pgdbm_status pgdbm__admin_lock(struct pgdbm__admin *admin, const char *what, bool shared, pgdbm_error *err);
/* The same, alone and at once or not at all; and giving it back. */
pgdbm_status pgdbm__admin_try_lock(struct pgdbm__admin *admin, const char *what, bool *got, pgdbm_error *err);
void pgdbm__admin_unlock(struct pgdbm__admin *admin, const char *what);
/* Drops it, whoever is connected. PGDBM_OK when it is not there. */
pgdbm_status pgdbm__admin_drop(struct pgdbm__admin *admin, const char *name, pgdbm_error *err);

/* testdb.c: making one, from finding the server to the last statement. */
struct pgdbm__making {
    const pgdbm_testdb_options *options;
    struct pgdbm__address address;
    struct pgdbm__admin admin;
    int64_t deadline;
};
/* A database named `name` of this process's, a copy of `template` (NULL: of the server's default), reported to the
 * janitor. `*expected` is set when that must be taken back. */
pgdbm_status pgdbm__testdb_make(struct pgdbm__making *making, const char *template, char name[PGDBM__NAME_BYTES],
                                bool *expected, pgdbm_error *err);
/* A manager on it; `*url` is for pgdbm__free. */
pgdbm_status pgdbm__testdb_open(const struct pgdbm__making *making, const char *name, char **url, pgdbm_db **db,
                                pgdbm_error *err);
/* Makes what the options say it shall contain. */
pgdbm_status pgdbm__testdb_fill(pgdbm_db *db, const pgdbm_testdb_options *options, pgdbm_error *err);
const char *pgdbm__testdb_schema(const pgdbm_testdb_options *options);

/* production.c: CONFIG for an address, or a server, that looks like production. */
pgdbm_status pgdbm__production_refuse_address(const struct pgdbm__address *address, bool told, pgdbm_error *err);
pgdbm_status pgdbm__production_refuse_server(struct pgdbm__admin *admin, bool told, pgdbm_error *err);

/* sweep.c: by the way, before this process makes its first database on a server. Whatever fails is left to others. */
void pgdbm__sweep_once(struct pgdbm__admin *admin, const char *url);

/* isolated.c: the isolated managers of a database. */
struct pgdbm__isolation;
struct pgdbm__isolations {
    struct pgdbm__isolation *first;
};
/* Ends them all and closes their pools. */
void pgdbm__isolations_close(struct pgdbm__isolations *isolations);

struct pgdbm_testdb {
    pgdbm_db *manager;
    char *url;
    char *admin_url;
    struct pgdbm__isolations isolations;
    pid_t owner;
    bool expected; /* the janitor knows of it */
    char name[PGDBM__NAME_BYTES];
};

/* template.c */
#define PGDBM__TEMPLATE_MARK "pgdbm_template_"
/* The name of a database that has what the options say, made if there is none yet. */
pgdbm_status pgdbm__template_find(struct pgdbm__making *making, char name[PGDBM__NAME_BYTES], pgdbm_error *err);

/* digest.c: what a template is made from. */
struct pgdbm__digest {
    char content[41]; /* of everything that it depends on */
    char set[17];     /* of where that came from: another content of the same set replaces it */
};
pgdbm_status pgdbm__digest_options(const pgdbm_testdb_options *options, const char *role, struct pgdbm__digest *digest,
                                   pgdbm_error *err);

/* janitor.c: the process that drops what this one leaves. Any thread. */
/* A database is about to be made on that server; when it is gone again, or was not made, _forget. */
void pgdbm__janitor_expect(const char *url);
void pgdbm__janitor_forget(void);

#endif
