/* SPDX-License-Identifier: MIT */
/* asyncpg as a peer: a Python process that waits for a line, does its part, and answers with the seconds it took. */
#include "bench.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct bench_asyncpg {
    pid_t child;
    FILE *to, *from;
};

enum { MISSING = 77 };

static void start(const struct bench *bench, const char *python, const char *workload, int rows,
                  struct bench_asyncpg *peer)
{
    int to[2], from[2];
    char count[16];
    snprintf(count, sizeof count, "%d", rows);
    const char *const arguments[] = {python, PGDBM_BENCH_DIR "/asyncpg_peer.py", workload, bench->url, count, NULL};
    bench_expect(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0, "no pipe for asyncpg");
    fflush(NULL);
    peer->child = fork();
    if (peer->child == 0) {
        if (dup2(to[0], 0) == 0 && dup2(from[1], 1) == 1)
            execvp(python, (char *const *)arguments);
        _exit(MISSING);
    }
    close(to[0]);
    close(from[1]);
    peer->to = fdopen(to[1], "w");
    peer->from = fdopen(from[0], "r");
    bench_expect(peer->child > 0 && peer->to != NULL && peer->from != NULL, "asyncpg could not be started");
}

/* False when the process has ended instead. */
static bool ask(struct bench_asyncpg *peer, double *seconds)
{
    char line[64];
    if (fputc('\n', peer->to) == EOF || fflush(peer->to) != 0 || fgets(line, sizeof line, peer->from) == NULL)
        return false;
    *seconds = strtod(line, NULL);
    return *seconds > 0;
}

/* How the process ended. */
static int stop(struct bench_asyncpg *peer)
{
    int status = 0;
    fclose(peer->to);
    fclose(peer->from);
    bench_expect(waitpid(peer->child, &status, 0) == peer->child, "asyncpg has gone");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* The first round is asyncpg's warm-up. A distribution's asyncpg belongs to its own Python, which need not be the first
 * on the path. */
struct bench_asyncpg *bench_asyncpg_start(const struct bench *bench, const char *workload, int rows)
{
    static const char *const pythons[] = {"python3", "/usr/bin/python3"};
    struct bench_asyncpg *peer = calloc(1, sizeof *peer);
    bench_expect(peer != NULL, "out of memory");
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof pythons / sizeof *pythons; i++) {
        double seconds;
        start(bench, pythons[i], workload, rows, peer);
        if (ask(peer, &seconds))
            return peer;
        bench_expect(stop(peer) == MISSING, "asyncpg failed");
    }
    free(peer);
    return NULL;
}

double bench_asyncpg_round(struct bench_asyncpg *peer)
{
    double seconds = 0;
    bench_expect(peer == NULL || ask(peer, &seconds), "asyncpg failed");
    return seconds;
}

void bench_asyncpg_stop(struct bench_asyncpg *peer)
{
    if (peer == NULL)
        return;
    bench_expect(stop(peer) == 0, "asyncpg failed");
    free(peer);
}

void bench_asyncpg_report(struct bench *bench, const char *name, double bar, const struct samples *ours,
                          const struct samples *theirs)
{
    if (theirs->count > 0)
        bench_report_ratio(bench, name, "asyncpg", bar, "/s", ours, theirs);
    else
        printf("%-20s not measured: python3 has no asyncpg (Debian: python3-asyncpg)\n", name);
}
