/* SPDX-License-Identifier: MIT */
/* Data directories. initdb takes a second or more, so its work is done once into a cache and copied. A cache entry
 * appears by rename, under a lock: it is whole or it is not there. */
#include "base/error.h"
#include "testkit/testkit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Changed whenever the arguments of initdb below are. */
#define RECIPE "2"

/* `open`: other users shall get through, whatever this one's umask is. */
static bool make_directory(const char *path, bool open)
{
    if (mkdir(path, 0755) != 0)
        return errno == EEXIST;
    return !open || chmod(path, 0755) == 0;
}

static bool make_directories(const char *path, bool open)
{
    char part[PGDBM__PATH_BYTES];
    for (size_t i = 1; path[i] != '\0'; i++)
        if (path[i] == '/') {
            snprintf(part, sizeof part, "%.*s", (int)i, path);
            if (!make_directory(part, open))
                return false;
        }
    return make_directory(path, open);
}

/* Root's own cache would be out of the unprivileged user's reach. */
static bool cache_directory(const struct pgdbm__identity *identity, char path[PGDBM__PATH_BYTES])
{
    const char *chosen = getenv("PGDBM_CACHE_DIR");
    const char *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    int length = -1;
    if (chosen != NULL && chosen[0] == '/')
        length = snprintf(path, PGDBM__PATH_BYTES, "%s", chosen);
    else if (identity->drop)
        length = snprintf(path, PGDBM__PATH_BYTES, "/var/cache/pgdbm");
    else if (xdg != NULL && xdg[0] == '/')
        length = snprintf(path, PGDBM__PATH_BYTES, "%s/pgdbm", xdg);
    else if (home != NULL && home[0] == '/')
        length = snprintf(path, PGDBM__PATH_BYTES, "%s/.cache/pgdbm", home);
    if (length < 0 || length >= PGDBM__PATH_BYTES - 64 || !make_directories(path, identity->drop))
        return false;
    return !identity->drop || chown(path, identity->uid, identity->gid) == 0;
}

static pgdbm_status run_initdb(const struct pgdbm__cluster_plan *plan, const char *data, pgdbm_error *err)
{
    char program[PGDBM__PATH_BYTES + 16];
    snprintf(program, sizeof program, "%s/initdb", plan->binaries);
    const char *const arguments[] = {program,
                                     "-D",
                                     data,
                                     "-U",
                                     "postgres",
                                     "-A",
                                     "trust",
                                     "-E",
                                     "UTF8",
                                     "--locale=C.UTF-8",
                                     "--no-sync",
                                     "--no-instructions",
                                     "--wal-segsize=1",
                                     NULL};
    int status = pgdbm__run_program(plan->identity, arguments, plan->log);
    if (status == 0)
        return PGDBM_OK;
    char tail[400];
    pgdbm__log_tail(plan->log, tail, sizeof tail);
    pgdbm__fail(err, PGDBM_ERR_TESTDB, "initdb could not make a cluster in %.200s (exit status %d)", data, status);
    pgdbm__error_detail(err, "%s", tail);
    pgdbm__error_hint(err, "is there room on the disk, and may the user %s write there?",
                      plan->identity->drop ? plan->identity->name : "that runs this");
    return PGDBM_ERR_TESTDB;
}

/* What the cached cluster was made from: the programs and who owns it. */
static void compose_key(const struct pgdbm__cluster_plan *plan, char key[64])
{
    char program[PGDBM__PATH_BYTES + 16];
    struct stat facts = {0};
    uint64_t hash = UINT64_C(1469598103934665603);
    snprintf(program, sizeof program, "%s/postgres", plan->binaries);
    stat(program, &facts);
    for (const char *at = program; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
    snprintf(key, 64, "cluster-" RECIPE "-%08llx-%llx-%llx-%u", (unsigned long long)(hash & 0xffffffff),
             (unsigned long long)facts.st_mtime, (unsigned long long)facts.st_size, (unsigned)plan->identity->uid);
}

static bool is_directory(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

/* The cached cluster's path; made now if it is not there. Empty when there can be no cache. */
static pgdbm_status cached_cluster(const struct pgdbm__cluster_plan *plan, char path[PGDBM__PATH_BYTES],
                                   pgdbm_error *err)
{
    char directory[PGDBM__PATH_BYTES];
    char key[64];
    char partial[PGDBM__PATH_BYTES + 16];
    char lock_path[PGDBM__PATH_BYTES + 16];
    path[0] = '\0';
    if (!cache_directory(plan->identity, directory))
        return PGDBM_OK;
    compose_key(plan, key);
    if (snprintf(path, PGDBM__PATH_BYTES, "%s/%s", directory, key) >= PGDBM__PATH_BYTES)
        path[0] = '\0';
    if (path[0] == '\0' || is_directory(path))
        return PGDBM_OK;
    snprintf(partial, sizeof partial, "%s.partial", path);
    snprintf(lock_path, sizeof lock_path, "%s.lock", path);
    int lock = open(lock_path, O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    if (lock < 0 || flock(lock, LOCK_EX) != 0) {
        if (lock >= 0)
            close(lock);
        path[0] = '\0';
        return PGDBM_OK;
    }
    pgdbm_status status = PGDBM_OK;
    if (!is_directory(path)) {
        const char *const clean[] = {"rm", "-rf", "--", partial, NULL};
        pgdbm__run_program(plan->identity, clean, NULL);
        status = run_initdb(plan, partial, err);
        if (status == PGDBM_OK && rename(partial, path) != 0)
            status = pgdbm__fail(err, PGDBM_ERR_TESTDB, "cannot put the cluster into the cache %.200s: %s", path,
                                 strerror(errno));
    }
    close(lock);
    return status;
}

pgdbm_status pgdbm__cluster_configure(const struct pgdbm__cluster_plan *plan, pgdbm_error *err)
{
    char path[PGDBM__PATH_BYTES + 32];
    snprintf(path, sizeof path, "%s/pgdbm.conf", plan->data);
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return pgdbm__fail(err, PGDBM_ERR_TESTDB, "cannot write %.300s: %s", path, strerror(errno));
    fprintf(file, "listen_addresses = '%s'\n", plan->tcp_port > 0 ? "127.0.0.1" : "");
    fprintf(file, "port = %d\n", plan->tcp_port > 0 ? plan->tcp_port : 5432);
    fprintf(file, "unix_socket_directories = '%s'\nunix_socket_permissions = 0777\n", plan->socket_directory);
    fprintf(file, "max_connections = 200\nshared_buffers = 64MB\nmin_wal_size = 32MB\nmax_wal_size = "
                  "512MB\nlogging_collector = off\n"
                  "log_min_messages = fatal\nlog_min_error_statement = panic\n");
    /* Segments in files lie beside the data and go with it, even when postgres was killed and could remove none. */
    if (plan->options->directory == NULL)
        fprintf(file, "dynamic_shared_memory_type = mmap\n");
    if (!plan->options->durable)
        fprintf(file, "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n");
    if (plan->tcp_port > 0)
        fprintf(file, "ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\n");
    for (size_t i = 0; i < plan->options->n_settings; i++)
        fprintf(file, "%s\n", plan->options->settings[i]);
    bool written = ferror(file) == 0;
    written = fchown(fileno(file), plan->identity->uid, plan->identity->gid) == 0 && written;
    if (fclose(file) != 0 || !written)
        return pgdbm__fail(err, PGDBM_ERR_TESTDB, "cannot write %.300s: %s", path, strerror(errno));
    return PGDBM_OK;
}

/* postgresql.conf reads ours last, so that ours wins. */
static pgdbm_status include_settings(const char *data, pgdbm_error *err)
{
    char path[PGDBM__PATH_BYTES + 48];
    snprintf(path, sizeof path, "%s/postgresql.conf", data);
    FILE *file = fopen(path, "ae");
    bool written = file != NULL && fputs("\ninclude_if_exists = 'pgdbm.conf'\n", file) >= 0;
    if (file != NULL)
        written = fclose(file) == 0 && written;
    return written ? PGDBM_OK : pgdbm__fail(err, PGDBM_ERR_TESTDB, "cannot write %.300s: %s", path, strerror(errno));
}

static pgdbm_status copy_cached(const struct pgdbm__cluster_plan *plan, const char *cached, const char *data,
                                pgdbm_error *err)
{
    const char *const copy[] = {"cp", "-Rp", "--", cached, data, NULL};
    int outcome = pgdbm__run_program(plan->identity, copy, plan->log);
    if (outcome == 0)
        return PGDBM_OK;
    char tail[300];
    pgdbm__log_tail(plan->log, tail, sizeof tail);
    pgdbm__fail(err, PGDBM_ERR_TESTDB, "cannot copy the cached cluster to %.200s (exit status %d)", data, outcome);
    pgdbm__error_detail(err, "%s", tail);
    return PGDBM_ERR_TESTDB;
}

/* Made under another name and renamed when it is whole: a directory that is kept must not be left half-made by a process that
 * was killed meanwhile. */
pgdbm_status pgdbm__cluster_make(const struct pgdbm__cluster_plan *plan, pgdbm_error *err)
{
    char cached[PGDBM__PATH_BYTES];
    char partial[PGDBM__PATH_BYTES + 16];
    const char *const removal[] = {"rm", "-rf", "--", partial, NULL};
    snprintf(partial, sizeof partial, "%s.partial", plan->data);
    pgdbm_status status = cached_cluster(plan, cached, err);
    if (status != PGDBM_OK)
        return status;
    pgdbm__run_program(plan->identity, removal, plan->log);
    status = cached[0] == '\0' ? run_initdb(plan, partial, err) : copy_cached(plan, cached, partial, err);
    if (status == PGDBM_OK)
        status = include_settings(partial, err);
    if (status == PGDBM_OK && rename(partial, plan->data) != 0)
        status = pgdbm__fail(err, PGDBM_ERR_TESTDB, "cannot rename %.200s: %s", partial, strerror(errno));
    if (status != PGDBM_OK)
        pgdbm__run_program(plan->identity, removal, plan->log);
    return status;
}
