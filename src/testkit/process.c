/* SPDX-License-Identifier: MIT */
/* Running programs, whatever the process that starts them has done to its signals, descriptors and rights. No state.
 * Between fork and exec only calls are made that are safe in a child of a program with threads. */
#include "testkit/testkit.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where the kernel cannot close a range and there is no limit worth the name. */
#define MOST_DESCRIPTORS 65536

bool pgdbm__become(const struct pgdbm__identity *identity)
{
    return !identity->drop ||
           (setgroups(0, NULL) == 0 && setgid(identity->gid) == 0 && setuid(identity->uid) == 0 && setuid(0) != 0);
}

static void close_range_of(unsigned first, unsigned last)
{
    struct rlimit limit;
    if (first > last)
        return;
#ifdef SYS_close_range
    if (syscall(SYS_close_range, first, last, 0) == 0)
        return;
#endif
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > MOST_DESCRIPTORS)
        limit.rlim_cur = MOST_DESCRIPTORS;
    for (unsigned fd = first; fd <= last && fd < limit.rlim_cur; fd++)
        close((int)fd);
}

void pgdbm__close_all_but(const int *kept, size_t n_kept)
{
    unsigned first = 3;
    for (;;) {
        int next = -1; /* the smallest that is kept from here on */
        for (size_t i = 0; i < n_kept; i++)
            if (kept[i] >= (int)first && (next < 0 || kept[i] < next))
                next = kept[i];
        close_range_of(first, next < 0 ? ~0U : (unsigned)next - 1);
        if (next < 0)
            return;
        first = (unsigned)next + 1;
    }
}

/* A program that goes on when nobody waits for it would write where the next one already works. False when the parent
 * has ended before. */
static bool end_with(pid_t parent)
{
    return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
}

static _Noreturn void execute(const struct pgdbm__identity *identity, const char *const *arguments, const char *log,
                              pid_t parent)
{
    int output = open(log != NULL ? log : "/dev/null", O_WRONLY | O_CREAT | O_APPEND, 0644);
    int input = open("/dev/null", O_RDONLY);
    if (output < 0 || input < 0 || dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
        _exit(126);
    pgdbm__close_all_but(NULL, 0);
    /* After the change of user, which takes it back. */
    if (!pgdbm__become(identity) || chdir("/") != 0 || !end_with(parent))
        _exit(126);
    execvp(arguments[0], (char *const *)arguments);
    _exit(127);
}

/* A process between, which reports how the program ended: the caller may ignore SIGCHLD, or have a handler that waits for
 * every child, and then could not know. */
static _Noreturn void wait_for(const struct pgdbm__identity *identity, const char *const *arguments, const char *log,
                               pid_t parent, int report)
{
    sigset_t none;
    pid_t self = getpid();
    int status = -1;
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (!end_with(parent))
        _exit(1);
    pid_t child = fork();
    if (child == 0)
        execute(identity, arguments, log, self);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    ssize_t written = write(report, &status, sizeof status);
    (void)written;
    _exit(0);
}

int pgdbm__run_program(const struct pgdbm__identity *identity, const char *const *arguments, const char *log)
{
    int ends[2];
    int status = -1;
    ssize_t got = -1;
    pid_t parent = getpid();
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    pid_t child = fork();
    if (child == 0)
        wait_for(identity, arguments, log, parent, ends[1]);
    close(ends[1]);
    while (child > 0 && (got = read(ends[0], &status, sizeof status)) < 0 && errno == EINTR)
        continue;
    close(ends[0]);
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
    return got == (ssize_t)sizeof status && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
