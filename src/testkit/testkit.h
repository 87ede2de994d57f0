/* SPDX-License-Identifier: MIT */
/* The test kit from inside. */
#ifndef PGDBM_TESTKIT_TESTKIT_H
#define PGDBM_TESTKIT_TESTKIT_H

#include <limits.h>
#include <pgdbm/testkit.h>
#include <sys/types.h>

#define PGDBM__PATH_BYTES 512

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
/* Runs a program as `identity` with its output going to `log` (NULL: nowhere); its exit status, or -1. */
int pgdbm__run_program(const struct pgdbm__identity *identity, const char *const *arguments, const char *log);
/* Async-signal-safe: gives up root's rights for good. False when that failed. */
bool pgdbm__become(const struct pgdbm__identity *identity);
/* The last lines of a log, for error details. */
void pgdbm__log_tail(const char *path, char *text, size_t bytes);

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

/* supervisor.c */
struct pgdbm__supervisor {
    int control; /* our end: 'r' starts the server again; closing it ends everything */
    int status;  /* its end reports: pid_t when the server was started, 0 when it ended; end of file when all is gone */
};
struct pgdbm__supervisor_plan {
    const struct pgdbm__identity *identity;
    const char *const *arguments; /* of postgres */
    const char *log;
    const char *remove; /* directory to remove at the end, or NULL */
    bool detached;      /* the server stays when the control pipe closes */
};
pgdbm_status pgdbm__supervisor_start(const struct pgdbm__supervisor_plan *plan, struct pgdbm__supervisor *supervisor,
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

#endif
