/* SPDX-License-Identifier: MIT */
/* The supervisor: a process between the starter and the server. It holds the reading end of a pipe whose writing end
 * only the starter has (and forked children of the starter that do not exec): when that is closed, by whatever end the
 * starter came to, it stops the server and removes what was temporary. It is forked twice, so that the starter has no
 * child to wait for, and has a session of its own, so that Ctrl-C reaches the starter and not the server. When it is
 * killed itself, the kernel ends the server. After the fork it makes only calls that are safe in a child of a program
 * with threads. */
#include "base/error.h"
#include "testkit/testkit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How often the supervisor looks whether the server has ended, and how long each way of stopping it is given. */
#define LOOK_MS 20
#define FAST_MS 5000
#define IMMEDIATE_MS 3000
#define REMOVE_TRIES 100

void pgdbm__supervisor_report(int status, pid_t pid)
{
    ssize_t written = write(status, &pid, sizeof pid);
    (void)written;
}

static pid_t start_server(const struct pgdbm__supervisor_plan *plan)
{
    pid_t supervisor = getpid();
    pid_t child = fork();
    if (child != 0)
        return child;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int log = open(plan->log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    int nothing = open("/dev/null", O_RDONLY);
    if (log < 0 || nothing < 0 || dup2(nothing, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0 ||
        !pgdbm__become(plan->identity) || chdir("/") != 0)
        _exit(126);
    /* After the change of user, which takes it back. */
    if (!plan->detached && (prctl(PR_SET_PDEATHSIG, SIGQUIT) != 0 || getppid() != supervisor))
        _exit(126);
    pgdbm__close_all_but(NULL, 0);
    execv(plan->arguments[0], (char *const *)plan->arguments);
    _exit(127);
}

bool pgdbm__supervisor_ended_within(pid_t server, int limit_ms)
{
    for (int waited = 0;; waited += LOOK_MS) {
        if (waitpid(server, NULL, WNOHANG) != 0)
            return true;
        if (waited >= limit_ms)
            return false;
        poll(NULL, 0, LOOK_MS);
    }
}

static void stop_server(pid_t server)
{
    kill(server, SIGINT);
    if (pgdbm__supervisor_ended_within(server, FAST_MS))
        return;
    kill(server, SIGQUIT);
    if (pgdbm__supervisor_ended_within(server, IMMEDIATE_MS))
        return;
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
}

void pgdbm__supervisor_remove(const char *directory)
{
    for (int tries = 0; directory != NULL && tries < REMOVE_TRIES && access(directory, F_OK) == 0; tries++) {
        if (tries > 0)
            poll(NULL, 0, LOOK_MS);
        pid_t child = fork();
        if (child == 0) {
            execl("/bin/rm", "rm", "-rf", "--", directory, (char *)NULL);
            _exit(127);
        }
        if (child > 0)
            waitpid(child, NULL, 0);
    }
}

/* "key id" in the seventh line (PostgreSQL documentation, "Database File Layout"). */
static bool read_segment(const char *pid_file, key_t *key, int *id)
{
    char text[2 * PGDBM__PATH_BYTES] = "";
    int file = open(pid_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t got = file >= 0 ? read(file, text, sizeof text - 1) : 0;
    if (file >= 0)
        close(file);
    text[got > 0 ? got : 0] = '\0';
    char *at = text;
    for (int line = 1; line < 7 && at != NULL; line++) {
        at = strchr(at, '\n');
        at = at != NULL ? at + 1 : NULL;
    }
    char *end = at;
    *key = at != NULL ? (key_t)strtoul(at, &end, 10) : 0;
    *id = at != NULL && *end == ' ' ? (int)strtoul(end, &end, 10) : 0;
    return at != NULL && *end == '\n';
}

void pgdbm__supervisor_forget_segment(const char *pid_file, const struct pgdbm__identity *identity)
{
    struct shmid_ds facts;
    key_t key;
    int id;
    if (pid_file != NULL && read_segment(pid_file, &key, &id) && shmctl(id, IPC_STAT, &facts) == 0 &&
        facts.shm_perm.__key == key && facts.shm_perm.uid == identity->uid)
        shmctl(id, IPC_RMID, NULL);
}

static void supervise(const struct pgdbm__supervisor_plan *plan, int control, int status)
{
    pid_t server = start_server(plan);
    pgdbm__supervisor_report(status, server);
    if (plan->keeper != NULL)
        pgdbm__keep(plan, server, status);
    for (;;) {
        struct pollfd entry = {.fd = control, .events = POLLIN};
        int ready = poll(&entry, 1, LOOK_MS);
        char command;
        ssize_t got = ready > 0 ? read(control, &command, 1) : 1;
        if (ready > 0 && (got == 0 || (got < 0 && errno != EINTR)))
            break;
        if (server > 0 && waitpid(server, NULL, WNOHANG) != 0) {
            server = 0;
            pgdbm__supervisor_report(status, 0);
        }
        if (ready > 0 && got == 1 && server <= 0) {
            server = start_server(plan);
            pgdbm__supervisor_report(status, server);
        }
    }
    if (plan->detached) /* its starter is done with it, and it goes on; before, its end would have been reported */
        _exit(0);
    if (server > 0)
        stop_server(server);
    if (plan->remove != NULL)
        pgdbm__supervisor_forget_segment(plan->pid_file, plan->identity);
    pgdbm__supervisor_remove(plan->remove);
    _exit(0);
}

/* What the starter has open (a pipe that somebody reads to its end, for example) must not stay open here. */
static void let_go(int a, int b, int c)
{
    const int kept[] = {a, b, c};
    int nothing = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3 && nothing >= 0; fd++)
        dup2(nothing, fd);
    pgdbm__close_all_but(kept, sizeof kept / sizeof *kept);
}

/* A moment of the process that must not outlive its starter: signals meant for the starter's group are not for it. */
static void become_supervisor(const struct pgdbm__supervisor_plan *plan, int control, int status)
{
    setsid();
    if (fork() != 0)
        _exit(0);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    let_go(control, status, plan->keeper != NULL ? plan->keeper->alive : -1);
    if (chdir("/") != 0)
        _exit(126);
    supervise(plan, control, status);
}

pgdbm_status pgdbm__supervisor_start(const struct pgdbm__supervisor_plan *plan, struct pgdbm__supervisor *supervisor,
                                     pgdbm_error *err)
{
    int control[2];
    int status[2];
    if (pipe2(control, O_CLOEXEC) != 0)
        return pgdbm__fail(err, PGDBM_ERR_TESTDB, "cannot make a pipe: %s", strerror(errno));
    if (pipe2(status, O_CLOEXEC) != 0) {
        close(control[0]);
        close(control[1]);
        return pgdbm__fail(err, PGDBM_ERR_TESTDB, "cannot make a pipe: %s", strerror(errno));
    }
    pid_t child = fork();
    if (child == 0)
        become_supervisor(plan, control[0], status[1]);
    close(control[0]);
    close(status[1]);
    if (child < 0) {
        close(control[1]);
        close(status[0]);
        return pgdbm__fail(err, PGDBM_ERR_TESTDB, "cannot start a process: %s", strerror(errno));
    }
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
    *supervisor = (struct pgdbm__supervisor){control[1], status[0]};
    return PGDBM_OK;
}
