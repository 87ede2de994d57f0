/* SPDX-License-Identifier: MIT */
/* Private servers: starting, asking, crashing, stopping. A server belongs to one thread at a time. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "testkit/testkit.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static pgdbm_status fail_path(pgdbm_error *err, const char *what, const char *path)
{
    return pgdbm__fail(err, PGDBM_ERR_TESTDB, "cannot %s %.300s: %s", what, path, strerror(errno));
}

static pgdbm_status compose(char out[PGDBM__PATH_BYTES], const char *directory, const char *name, pgdbm_error *err)
{
    int length = snprintf(out, PGDBM__PATH_BYTES, "%s/%s", directory, name);
    if (length > 0 && length < PGDBM__PATH_BYTES)
        return PGDBM_OK;
    return pgdbm__fail(err, PGDBM_ERR_TESTDB, "the path of the directory is too long: %.200s", directory);
}

static pgdbm_status make_temporary(pgdbm_testserver *server, char path[PGDBM__PATH_BYTES], pgdbm_error *err)
{
    const char *base = getenv("TMPDIR");
    char chosen[PGDBM__PATH_BYTES];
    pgdbm_status status = pgdbm__place_chosen(&server->identity, chosen, err);
    if (status != PGDBM_OK)
        return status;
    if (chosen[0] != '\0')
        base = chosen;
    else if (server->identity.drop)
        base = NULL;
    if (base == NULL || base[0] != '/' || strlen(base) > PGDBM__SOCKET_DIRECTORY_LIMIT - 20)
        base = "/tmp";
    snprintf(path, PGDBM__PATH_BYTES, "%.100s/pgdbm-XXXXXX", base);
    if (mkdtemp(path) == NULL)
        return fail_path(err, "make a directory", path);
    if (chown(path, server->identity.uid, server->identity.gid) != 0)
        return fail_path(err, "give away", path);
    return PGDBM_OK;
}

/* The kept directory, made if need be. It must be in reach of the user who runs the server. */
static pgdbm_status use_directory(pgdbm_testserver *server, const char *directory, pgdbm_error *err)
{
    char absolute[PATH_MAX];
    if (mkdir(directory, 0755) != 0 && errno != EEXIST)
        return fail_path(err, "make the directory", directory);
    if (realpath(directory, absolute) == NULL)
        return fail_path(err, "use the directory", directory);
    /* Nor would PostgreSQL find the lines of its own postmaster.pid. */
    if (strchr(absolute, '\n') != NULL) {
        pgdbm__fail(err, PGDBM_ERR_TESTDB, "the path of the directory has a line end in it: %.300s", absolute);
        pgdbm__error_hint(err, "a server cannot lie there; rename the folder");
        return PGDBM_ERR_TESTDB;
    }
    if (strlen(absolute) >= PGDBM__PATH_BYTES - 32) {
        pgdbm__fail(err, PGDBM_ERR_TESTDB, "the path of the directory is too long, %zu bytes: %.200s...",
                    strlen(absolute), absolute);
        pgdbm__error_hint(err, "a server can lie in one of %d bytes at most", PGDBM__PATH_BYTES - 33);
        return PGDBM_ERR_TESTDB;
    }
    memcpy(server->directory, absolute, strlen(absolute) + 1);
    if (server->identity.drop && chown(server->directory, server->identity.uid, server->identity.gid) != 0)
        return fail_path(err, "give away", directory);
    const char *const reach[] = {"test", "-w", server->directory, NULL};
    if (server->identity.drop && pgdbm__run_program(&server->identity, reach, NULL) != 0) {
        pgdbm__fail(err, PGDBM_ERR_TESTDB, "the server runs as user %s, who cannot reach %.300s", server->identity.name,
                    server->directory);
        pgdbm__error_hint(err, "use a directory outside of root's own, or run as an ordinary user");
        return PGDBM_ERR_TESTDB;
    }
    return PGDBM_OK;
}

/* Sockets have short paths; and one with a comma is two hosts to libpq, quotes and backslashes end a setting of the server. */
static bool can_hold_sockets(const char *directory)
{
    for (const char *at = directory; *at != '\0'; at++)
        if (strchr(",'\"\\", *at) != NULL || (unsigned char)*at < ' ')
            return false;
    return strlen(directory) <= PGDBM__SOCKET_DIRECTORY_LIMIT;
}

static pgdbm_status lay_out(pgdbm_testserver *server, pgdbm_error *err)
{
    pgdbm_status status = server->options.directory != NULL ? use_directory(server, server->options.directory, err)
                                                            : make_temporary(server, server->directory, err);
    if (status == PGDBM_OK)
        status = compose(server->data, server->directory, "data", err);
    if (status == PGDBM_OK)
        status = compose(server->log, server->directory, "log", err);
    if (status == PGDBM_OK)
        status = compose(server->ca_file, server->directory, "data/server.crt", err);
    if (status != PGDBM_OK)
        return status;
    if (can_hold_sockets(server->directory))
        memcpy(server->socket_directory, server->directory, sizeof server->directory);
    else
        status = make_temporary(server, server->socket_directory, err);
    return status;
}

static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool bound = probe >= 0 && bind(probe, (struct sockaddr *)&address, sizeof address) == 0 &&
                 getsockname(probe, (struct sockaddr *)&address, &length) == 0;
    if (probe >= 0)
        close(probe);
    return bound ? ntohs(address.sin_port) : 0;
}

static pgdbm_status did_not_start(const pgdbm_testserver *server, const char *why, pgdbm_error *err)
{
    char tail[500];
    pgdbm__log_tail(server->log, tail, sizeof tail);
    pgdbm__fail(err, PGDBM_ERR_TESTDB, "the private server did not start: %s", why);
    pgdbm__error_detail(err, "%s", tail);
    pgdbm__error_hint(err, "its log is shown above; is the disk full, or another server in the same directory?");
    return PGDBM_ERR_TESTDB;
}

/* The supervisor's next report: true, and what it says; false at the deadline or when the supervisor is gone. */
static bool next_report(const pgdbm_testserver *server, int64_t deadline, pid_t *report)
{
    struct pollfd entry = {.fd = server->supervisor.status, .events = POLLIN};
    int ready;
    do
        ready = poll(&entry, 1, pgdbm__remaining_ms(deadline));
    while (ready < 0 && errno == EINTR);
    return ready > 0 && read(server->supervisor.status, report, sizeof *report) == (ssize_t)sizeof *report;
}

/* postmaster.pid says when the server takes connections; the supervisor says when it has ended instead. */
static pgdbm_status await_ready(pgdbm_testserver *server, pgdbm_error *err)
{
    int64_t deadline = pgdbm__deadline(server->options.start_timeout_ms > 0 ? server->options.start_timeout_ms : 30000);
    pid_t report = 0;
    if (!next_report(server, deadline, &report) || report <= 0)
        return did_not_start(server, "its process could not be made", err);
    server->pid = report;
    for (;;) {
        struct pgdbm__postmaster postmaster;
        if (pgdbm__postmaster_read(server->data, &postmaster) && postmaster.pid == server->pid && postmaster.ready)
            return PGDBM_OK;
        if (next_report(server, pgdbm__deadline(3), &report))
            return did_not_start(server, "it ended while starting", err);
        if (pgdbm__now_ns() > deadline)
            return did_not_start(server, "it was not ready in time", err);
    }
}

static pgdbm_status launch(pgdbm_testserver *server, const struct pgdbm__keeper_plan *keeper, pgdbm_error *err)
{
    char program[PGDBM__PATH_BYTES + 16];
    snprintf(program, sizeof program, "%s/postgres", server->binaries);
    const char *const arguments[] = {program, "-D", server->data, NULL};
    char pid_file[PGDBM__PATH_BYTES];
    pgdbm_status status = compose(pid_file, server->data, "postmaster.pid", err);
    if (status != PGDBM_OK)
        return status;
    struct pgdbm__supervisor_plan plan = {
        .identity = &server->identity,
        .arguments = arguments,
        .log = server->log,
        .pid_file = pid_file,
        .remove = server->options.directory == NULL ? server->directory : NULL,
        .detached = server->options.detached,
        .keeper = keeper,
    };
    status = pgdbm__supervisor_start(&plan, &server->supervisor, err);
    return status == PGDBM_OK ? await_ready(server, err) : status;
}

/* Closing our end makes the supervisor stop the server and clean up; the end of its reports says that it has. */
void pgdbm__server_dismiss(pgdbm_testserver *server)
{
    if (server->supervisor.control < 0)
        return;
    close(server->supervisor.control);
    pid_t report;
    while (next_report(server, pgdbm__deadline(30000), &report))
        continue;
    close(server->supervisor.status);
    server->supervisor.control = server->supervisor.status = -1;
}

pgdbm_status pgdbm__server_launch(pgdbm_testserver *server, const struct pgdbm__keeper_plan *keeper, pgdbm_error *err)
{
    struct stat facts;
    struct pgdbm__cluster_plan plan = {
        .binaries = server->binaries,
        .identity = &server->identity,
        .data = server->data,
        .socket_directory = server->socket_directory,
        .log = server->log,
        .options = &server->options,
    };
    pgdbm_status status = PGDBM_OK;
    if (stat(server->data, &facts) != 0)
        status = pgdbm__cluster_make(&plan, err);
    if (status == PGDBM_OK && server->options.tls) {
        char key[PGDBM__PATH_BYTES];
        status = compose(key, server->data, "server.key", err);
        if (status == PGDBM_OK)
            status = pgdbm__certificate_make(server->ca_file, key, &server->identity, err);
    }
    if (status != PGDBM_OK)
        return status;
    /* Somebody else may take the port before the server does; then it does not start, and says so. */
    plan.tcp_port = server->tcp_port = server->options.tls ? free_port() : 0;
    status = pgdbm__cluster_configure(&plan, err);
    return status == PGDBM_OK ? launch(server, keeper, err) : status;
}

static pgdbm_status check_options(const pgdbm_testserver_options *options, pgdbm_error *err)
{
    if (options->detached && options->directory == NULL)
        return pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "a detached server needs a directory");
    if (options->n_settings > 0 && options->settings == NULL)
        return pgdbm__fail_null(err, "pgdbm_testserver_start", "settings");
    return PGDBM_OK;
}

pgdbm_status pgdbm__server_make(const pgdbm_testserver_options *options, size_t options_bytes, const char *function,
                                pgdbm_testserver **server, pgdbm_error *err)
{
    if (server == NULL)
        return pgdbm__fail_null(err, function, "server");
    *server = NULL;
    pgdbm_testserver *made = pgdbm__alloc_zero(1, sizeof *made);
    if (made == NULL)
        return pgdbm__fail_nomem(err, "starting a server");
    made->supervisor.control = made->supervisor.status = made->lease = -1;
    if (options != NULL)
        memcpy(&made->options, options, options_bytes < sizeof *options ? options_bytes : sizeof *options);
    pgdbm_status status = check_options(&made->options, err);
    if (status == PGDBM_OK)
        status = pgdbm__locate_binaries(made->binaries, err);
    if (status == PGDBM_OK)
        status = pgdbm__locate_identity(&made->identity, err);
    if (status == PGDBM_OK)
        *server = made;
    else
        pgdbm_testserver_stop(made);
    return status;
}

pgdbm_status pgdbm_testserver_start_sized(const pgdbm_testserver_options *options, size_t options_bytes,
                                          pgdbm_testserver **server, pgdbm_error *err)
{
    pgdbm_testserver *made;
    pgdbm_status status = pgdbm__server_make(options, options_bytes, "pgdbm_testserver_start", server, err);
    if (status != PGDBM_OK)
        return status;
    made = *server;
    *server = NULL;
    status = lay_out(made, err);
    if (status == PGDBM_OK)
        status = pgdbm__server_launch(made, NULL, err);
    if (status != PGDBM_OK) {
        pgdbm_testserver_stop(made);
        return status;
    }
    pgdbm__compose_url(made->socket_directory, made->tcp_port > 0 ? made->tcp_port : 5432, made->url, sizeof made->url);
    snprintf(made->tcp_url, sizeof made->tcp_url, "postgresql://postgres@127.0.0.1:%d/postgres", made->tcp_port);
    *server = made;
    return PGDBM_OK;
}

const char *pgdbm_testserver_url(const pgdbm_testserver *server)
{
    return server != NULL ? server->url : NULL;
}

const char *pgdbm_testserver_socket_directory(const pgdbm_testserver *server)
{
    return server != NULL ? server->socket_directory : NULL;
}

const char *pgdbm_testserver_tcp_url(const pgdbm_testserver *server)
{
    return server != NULL && server->tcp_port > 0 ? server->tcp_url : NULL;
}

const char *pgdbm_testserver_ca_file(const pgdbm_testserver *server)
{
    return server != NULL && server->tcp_port > 0 ? server->ca_file : NULL;
}

int pgdbm_testserver_pid(const pgdbm_testserver *server)
{
    return server != NULL ? (int)server->pid : 0;
}

/* Its parent; 0 when it has ended, though nobody may have waited for it yet. */
static pid_t parent_of(const char *process)
{
    char path[300];
    char text[512] = "";
    snprintf(path, sizeof path, "/proc/%s/stat", process);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    size_t got = fread(text, 1, sizeof text - 1, file);
    text[got] = '\0';
    fclose(file);
    const char *after_name = strrchr(text, ')'); /* "pid (name) state parent" */
    if (after_name == NULL || strlen(after_name) <= 4 || after_name[2] == 'Z' || after_name[2] == 'X')
        return 0;
    return (pid_t)strtol(after_name + 4, NULL, 10);
}

/* How many there were; up to `limit` of them are told. */
static size_t kill_children(pid_t postmaster, pid_t *children, size_t limit)
{
    DIR *processes = opendir("/proc");
    struct dirent *entry;
    size_t n_children = 0;
    while (processes != NULL && (entry = readdir(processes)) != NULL) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || parent_of(entry->d_name) != postmaster)
            continue;
        pid_t child = (pid_t)strtol(entry->d_name, NULL, 10);
        kill(child, SIGKILL);
        if (n_children < limit)
            children[n_children++] = child;
    }
    if (processes != NULL)
        closedir(processes);
    return n_children;
}

/* A killed process may take a moment to give back its memory, and as long as one has the shared memory, no server starts. */
static bool await_end(const pid_t *processes, size_t n_processes)
{
    int64_t deadline = pgdbm__deadline(10000);
    for (size_t i = 0; i < n_processes; i++) {
        char name[24];
        snprintf(name, sizeof name, "%d", (int)processes[i]);
        for (; parent_of(name) != 0; poll(NULL, 0, 1))
            if (pgdbm__now_ns() > deadline)
                return false;
    }
    return true;
}

static pgdbm_status refuse_shared(const char *what, pgdbm_error *err)
{
    pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "a shared server is not %s: other processes use it too", what);
    pgdbm__error_hint(err, "start one of your own with pgdbm_testserver_start");
    return PGDBM_ERR_ARGUMENT;
}

pgdbm_status pgdbm_testserver_crash(pgdbm_testserver *server, pgdbm_error *err)
{
    if (server == NULL)
        return pgdbm__fail_null(err, "pgdbm_testserver_crash", "server");
    if (server->lease >= 0)
        return refuse_shared("crashed", err);
    if (server->pid <= 0)
        return pgdbm__fail(err, PGDBM_ERR_TESTDB, "the server is not running");
    kill(server->pid, SIGSTOP); /* or it would start new children while the old ones are killed */
    pid_t children[512];        /* more than max_connections */
    size_t n_children = kill_children(server->pid, children, sizeof children / sizeof *children);
    kill(server->pid, SIGKILL);
    pid_t report;
    if (!next_report(server, pgdbm__deadline(10000), &report) || report != 0 || !await_end(children, n_children))
        return pgdbm__fail(err, PGDBM_ERR_TESTDB, "the server did not end when it was killed");
    server->pid = 0;
    return PGDBM_OK;
}

pgdbm_status pgdbm_testserver_restart(pgdbm_testserver *server, pgdbm_error *err)
{
    if (server == NULL)
        return pgdbm__fail_null(err, "pgdbm_testserver_restart", "server");
    if (server->lease >= 0)
        return refuse_shared("restarted", err);
    if (server->pid > 0)
        return pgdbm__fail(err, PGDBM_ERR_TESTDB, "the server is running");
    /* A postmaster.pid left by the dead one would be read before the new one has written its own. */
    char path[PGDBM__PATH_BYTES];
    pgdbm_status status = compose(path, server->data, "postmaster.pid", err);
    if (status != PGDBM_OK)
        return status;
    unlink(path);
    if (write(server->supervisor.control, "r", 1) != 1)
        return pgdbm__fail(err, PGDBM_ERR_TESTDB, "the server's supervisor is gone");
    return await_ready(server, err);
}

void pgdbm_testserver_stop(pgdbm_testserver *server)
{
    if (server == NULL)
        return;
    if (server->lease >= 0) {
        close(server->lease);
        pgdbm__free(server);
        return;
    }
    bool supervised = server->supervisor.control >= 0;
    bool temporary = server->options.directory == NULL && server->directory[0] != '\0';
    if (server->options.detached && supervised) {
        close(server->supervisor.control);
        close(server->supervisor.status);
    } else
        pgdbm__server_dismiss(server);
    const char *const clean[] = {"rm", "-rf", "--", server->directory, NULL};
    if (temporary && !supervised)
        pgdbm__run_program(&(struct pgdbm__identity){0}, clean, NULL);
    if (!server->options.detached && server->socket_directory[0] != '\0' &&
        strcmp(server->socket_directory, server->directory) != 0)
        rmdir(server->socket_directory);
    pgdbm__free(server);
}
