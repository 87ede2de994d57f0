/* SPDX-License-Identifier: MIT */
/* Running pgbench, which comes with the server: 8 clients in one thread, the same prepared select. */
#include "bench.h"
#include "testkit/testkit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

static const char script[] =
    "\\set id random(1, " TEXT(BENCH_ROWS) ")\n"
                                           "SELECT id, name, balance FROM account WHERE id = :id;\n";

static bool find(char path[PGDBM__PATH_BYTES + 16])
{
    char directory[PGDBM__PATH_BYTES];
    if (pgdbm__locate_binaries(directory, NULL) != PGDBM_OK)
        return false;
    snprintf(path, PGDBM__PATH_BYTES + 16, "%s/pgbench", directory);
    return access(path, X_OK) == 0;
}

bool bench_pgbench_found(void)
{
    char path[PGDBM__PATH_BYTES + 16];
    return find(path);
}

/* The program with its ends of two pipes: the script comes in, the report goes out. */
static pid_t start(const struct bench *bench, int input, int output)
{
    char path[PGDBM__PATH_BYTES + 16];
    bench_expect(find(path), "pgbench has gone");
    const char *const arguments[] = {"env",
                                     "LC_ALL=C",
                                     path,
                                     "-n",
                                     "-M",
                                     "prepared",
                                     "-c",
                                     "8",
                                     "-j",
                                     "1",
                                     "-f",
                                     "-",
                                     bench->quick ? "-t" : "-T",
                                     bench->quick ? "100" : "1",
                                     bench->url,
                                     NULL};
    pid_t child = fork();
    if (child == 0) {
        if (dup2(input, 0) == 0 && dup2(output, 1) == 1)
            execvp(arguments[0], (char *const *)arguments);
        _exit(127);
    }
    return child;
}

static void read_all(int from, char *text, size_t bytes)
{
    size_t length = 0;
    ssize_t got;
    while (length + 1 < bytes && (got = read(from, text + length, bytes - length - 1)) > 0)
        length += (size_t)got;
    text[length] = '\0';
}

/* Older ones tell it twice; the last is without the time it took to connect. */
static double last_rate(const char *text)
{
    double rate = 0;
    for (const char *found = text; (found = strstr(found, "tps = ")) != NULL; found++)
        rate = strtod(found + strlen("tps = "), NULL);
    return rate;
}

double bench_pgbench_run(const struct bench *bench)
{
    int to[2], from[2], status = 1;
    char text[4096];
    bench_expect(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0, "no pipe for pgbench");
    bench_expect(write(to[1], script, sizeof script - 1) == (ssize_t)sizeof script - 1, "no script for pgbench");
    fflush(stdout);
    pid_t child = start(bench, to[0], from[1]);
    close(to[0]);
    close(to[1]);
    close(from[1]);
    read_all(from[0], text, sizeof text);
    close(from[0]);
    bench_expect(child > 0 && waitpid(child, &status, 0) == child && status == 0, "pgbench failed");
    double rate = last_rate(text);
    bench_expect(rate > 0, "pgbench did not say how fast it was");
    return rate;
}
