/* SPDX-License-Identifier: MIT */
/* The test kit from inside. */
#ifndef PGDBM_TESTKIT_TESTKIT_H
#define PGDBM_TESTKIT_TESTKIT_H

#include <limits.h>
#include <pgdbm/testkit.h>
#include <sys/types.h>

#define PGDBM__PATH_BYTES 512
/* A socket's path must fit into sockaddr_un with its name ".s.PGSQL.12345" behind it. */
#define PGDBM__SOCKET_DIRECTORY_LIMIT 85

/* Who runs the server's programs: root may not. */
struct pgdbm__identity {
    bool drop; /* become uid and gid before running anything */
    uid_t uid;
    gid_t gid;
    char name[64];
};

/* locate.c */
pgdbm_status pgdbm__locate_binaries(char directory[PGDBM__PATH_BYTES], pgdbm_error *err);
pgdbm_status pgdbm__locate_identity(struct pgdbm__identity *identity, pgdbm_error *err);
/* The last lines of a log, for error details. */
void pgdbm__log_tail(const char *path, char *text, size_t bytes);

/* process.c */
/* Runs a program as `identity` with its output going to `log` (NULL: nowhere); its exit status, or -1. It is killed when
 * the caller ends before. */
int pgdbm__run_program(const struct pgdbm__identity *identity, const char *const *arguments, const char *log);
/* Async-signal-safe: gives up root's rights for good. False when that failed. */
bool pgdbm__become(const struct pgdbm__identity *identity);
/* Async-signal-safe: closes every descriptor from 3 on except these (-1: none). */
void pgdbm__close_all_but(const int *kept, size_t n_kept);

/* cluster.c: makes `data` (its parent exists and belongs to identity) a cluster ready to start. */
struct pgdbm__cluster_plan {
    const char *binaries;
    const struct pgdbm__identity *identity;
    const char *data;
    const char *socket_directory;
    const char *log;
    const pgdbm_testserver_options *options;
    int tcp_port; /* 0: none */
};
pgdbm_status pgdbm__cluster_make(const struct pgdbm__cluster_plan *plan, pgdbm_error *err);
pgdbm_status pgdbm__cluster_configure(const struct pgdbm__cluster_plan *plan, pgdbm_error *err);

/* certificate.c: a self-signed certificate for 127.0.0.1 and localhost, and its key. */
pgdbm_status pgdbm__certificate_make(const char *certificate, const char *key, const struct pgdbm__identity *identity,
                                     pgdbm_error *err);

/* detached.c: what postmaster.pid says; false when there is none or it is not complete. */
struct pgdbm__postmaster {
    pid_t pid;
    int port;
    char socket_directory[PGDBM__PATH_BYTES];
    bool ready;
};
bool pgdbm__postmaster_read(const char *data, struct pgdbm__postmaster *postmaster);
/* Whether that process really is the postmaster of this directory. */
bool pgdbm__postmaster_runs(const char *data, const struct pgdbm__postmaster *postmaster);
/* "postgresql://postgres@/postgres?host=...": a path is percent-encoded. */
void pgdbm__compose_url(const char *socket_directory, int port, char *url, size_t bytes);
/* The data directory inside a kept directory. False when the path is too long. */
bool pgdbm__data_path(const char *directory, char data[PGDBM__PATH_BYTES]);

/* supervisor.c */
struct pgdbm__supervisor {
    int control; /* our end: 'r' starts the server again; closing it ends everything */
    int status;  /* its end reports: pid_t when the server was started, 0 when it ended; end of file when all is gone */
};
struct pgdbm__supervisor_plan {
    const struct pgdbm__identity *identity;
    const char *const *arguments; /* of postgres */
    const char *log;
    const char *pid_file; /* postmaster.pid */
    const char *remove;   /* directory to remove at the end, or NULL */
    bool detached;        /* the server stays when the control pipe closes */
    const struct pgdbm__keeper_plan
        *keeper; /* of a shared server, whose life does not hang on the control pipe; or NULL */
};
pgdbm_status pgdbm__supervisor_start(const struct pgdbm__supervisor_plan *plan, struct pgdbm__supervisor *supervisor,
                                     pgdbm_error *err);
/* Async-signal-safe, for the processes between starter and server: waits for a child; removes a directory with all that
 * is in it (NULL: nothing), again when dying processes still write there; tells the starter. */
bool pgdbm__supervisor_ended_within(pid_t server, int limit_ms);
void pgdbm__supervisor_remove(const char *directory);
/* A postmaster that is killed leaves its segment of System V shared memory, and the file that names it. */
void pgdbm__supervisor_forget_segment(const char *pid_file, const struct pgdbm__identity *identity);
void pgdbm__supervisor_report(int status, pid_t pid);

/* keeper.c: what a shared server's supervisor does from the start of the server to its end. The starter composed all
 * paths, because after the fork nothing may be allocated. */
struct pgdbm__keeper_plan {
    const char *lease;         /* each user holds this file locked shared */
    const char *start;         /* locked by whoever starts or ends the server */
    const char *folder, *home; /* removed at the end; home may be NULL */
    const char *base;          /* removed at the end if it is empty; NULL: not ours to remove */
    int alive;                 /* a file that is locked as long as the keeper lives */
    int linger_ms;             /* how long the server waits for the next user */
};
_Noreturn void pgdbm__keep(const struct pgdbm__supervisor_plan *plan, pid_t server, int status);

/* server.c */
struct pgdbm_testserver {
    struct pgdbm__supervisor supervisor;
    struct pgdbm__identity identity;
    pgdbm_testserver_options options;
    pid_t pid;
    int tcp_port;
    int lease; /* of a shared server; -1: ours alone */
    char binaries[PGDBM__PATH_BYTES];
    char directory[PGDBM__PATH_BYTES]; /* of everything */
    char data[PGDBM__PATH_BYTES];
    char socket_directory[PGDBM__PATH_BYTES];
    char log[PGDBM__PATH_BYTES];
    char ca_file[PGDBM__PATH_BYTES];
    char url[4 * PGDBM__PATH_BYTES];
    char tcp_url[128];
};
/* With the programs and the user found, and nothing else. */
pgdbm_status pgdbm__server_make(const pgdbm_testserver_options *options, size_t options_bytes, const char *function,
                                pgdbm_testserver **server, pgdbm_error *err);
/* Makes the cluster if there is none, starts postgres and waits until it is ready. */
pgdbm_status pgdbm__server_launch(pgdbm_testserver *server, const struct pgdbm__keeper_plan *keeper, pgdbm_error *err);
/* Waits until the supervisor has cleaned up. */
void pgdbm__server_dismiss(pgdbm_testserver *server);

/* place.c: where a shared server lies. See there for what each file is for. */
struct pgdbm__place {
    const struct pgdbm__identity *identity;
    bool remove_base;
    char base[PGDBM__PATH_BYTES];
    char start[PGDBM__PATH_BYTES];
    char folder[PGDBM__PATH_BYTES];
    char lease[PGDBM__PATH_BYTES];
    char alive[PGDBM__PATH_BYTES];
    char log[PGDBM__PATH_BYTES];
    char sockets[PGDBM__PATH_BYTES];
    char link[PGDBM__PATH_BYTES]; /* to the data */
    char home[PGDBM__PATH_BYTES]; /* where the data would lie in memory */
};
enum pgdbm__place_state { PGDBM__PLACE_EMPTY, PGDBM__PLACE_BUSY, PGDBM__PLACE_RUNNING };
pgdbm_status pgdbm__place_find(const char *binaries, const struct pgdbm__identity *identity, struct pgdbm__place *place,
                               pgdbm_error *err);
/* PGDBM_TEST_DIRECTORY, made if need be and safe to use; "" when it is not set. */
pgdbm_status pgdbm__place_chosen(const struct pgdbm__identity *identity, char base[PGDBM__PATH_BYTES],
                                 pgdbm_error *err);
/* The lock of starting and ending: a descriptor, or -1 while another process has it (PGDBM_OK too). */
pgdbm_status pgdbm__place_lock(struct pgdbm__place *place, int *lock, pgdbm_error *err);
/* With the lock. EMPTY: no server, though what a dead one left may be there. BUSY: its keeper starts or ends it. */
enum pgdbm__place_state pgdbm__place_look(const struct pgdbm__place *place, struct pgdbm__postmaster *postmaster,
                                          char data[PGDBM__PATH_BYTES]);
/* With the lock: ends and removes what a dead keeper left. */
pgdbm_status pgdbm__place_clear(const struct pgdbm__place *place, pgdbm_error *err);
/* With the lock: removes everything, the lock's file too. */
void pgdbm__place_abandon(const struct pgdbm__place *place);
/* With the lock, on a cleared place: its directories and files, and the data's directory. `*alive` is locked. */
pgdbm_status pgdbm__place_furnish(struct pgdbm__place *place, char data[PGDBM__PATH_BYTES], int *alive,
                                  pgdbm_error *err);

#endif
