/* SPDX-License-Identifier: MIT */
/* The keeper of a shared server: its parent process, forked from the process that started the server and independent of
 * it. It knows no users; each of them holds the file `lease` locked, and the kernel takes the lock back however a user
 * ends. When nobody has held it for a while, or the server has ended by itself, the keeper stops the server and removes
 * everything. Whoever comes then finds the lock of starting taken until all is gone, and starts anew. One thread; only
 * calls that are safe in a child of a program with threads. */
#include "base/clock.h"
#include "testkit/testkit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* How often the keeper looks for users and for the server's end: neither can be waited for together with the other. */
#define LOOK_MS 50
/* Nothing of the server is worth keeping, so it is told to leave at once. */
#define STOP_MS 3000

/* Whether somebody holds the lease, or has taken and given it back since the last look: takers touch it. */
static bool is_used(int lease, struct timespec *touched)
{
    struct stat facts;
    if (flock(lease, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK || errno == EINTR;
    flock(lease, LOCK_UN);
    if (fstat(lease, &facts) != 0 ||
        (facts.st_mtim.tv_sec == touched->tv_sec && facts.st_mtim.tv_nsec == touched->tv_nsec))
        return false;
    *touched = facts.st_mtim;
    return true;
}

/* False while somebody starts, that is, is about to take the lease. Without the file nobody can come any more. */
static bool lock_start(const struct pgdbm__keeper_plan *plan, int *lock)
{
    struct stat mine, current;
    *lock = open(plan->start, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (*lock < 0)
        return errno == ENOENT || errno == ENOTDIR;
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0 && fstat(*lock, &mine) == 0 && stat(plan->start, &current) == 0 &&
        mine.st_ino == current.st_ino && mine.st_dev == current.st_dev)
        return true;
    close(*lock);
    *lock = -1;
    return false;
}

static void finish(const struct pgdbm__supervisor_plan *server_plan, pid_t server)
{
    const struct pgdbm__keeper_plan *plan = server_plan->keeper;
    if (server > 0) {
        kill(server, SIGQUIT);
        if (!pgdbm__supervisor_ended_within(server, STOP_MS)) {
            kill(server, SIGKILL);
            waitpid(server, NULL, 0);
        }
    }
    pgdbm__supervisor_forget_segment(server_plan->pid_file, server_plan->identity);
    pgdbm__supervisor_remove(plan->home);
    pgdbm__supervisor_remove(plan->folder);
    unlink(plan->start);
    if (plan->base != NULL)
        rmdir(plan->base);
    _exit(0);
}

_Noreturn void pgdbm__keep(const struct pgdbm__supervisor_plan *server_plan, pid_t server, int status)
{
    const struct pgdbm__keeper_plan *plan = server_plan->keeper;
    struct timespec touched = {0};
    int64_t last_used = pgdbm__now_ns();
    int lease = open(plan->lease, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    int lock = -1;
    prctl(PR_SET_NAME, "pgdbm-keeper");
    for (;; poll(NULL, 0, LOOK_MS)) {
        if (server > 0 && waitpid(server, NULL, WNOHANG) != 0) {
            server = 0;
            pgdbm__supervisor_report(status, 0);
        }
        if (server > 0 && is_used(lease, &touched)) {
            last_used = pgdbm__now_ns();
            continue;
        }
        if ((server > 0 && pgdbm__now_ns() - last_used < plan->linger_ms * PGDBM__MS) || !lock_start(plan, &lock))
            continue;
        if (server <= 0 || !is_used(lease, &touched))
            finish(server_plan, server);
        close(lock);
        last_used = pgdbm__now_ns();
    }
}
