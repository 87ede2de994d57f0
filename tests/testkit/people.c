/* SPDX-License-Identifier: MIT */
/* See people.h. One thread. */
#include "testkit/people.h"

#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

long server_number(const char *sql)
{
    PGconn *connection = PQconnectdb(test_server_url());
    PGresult *result = PQexec(connection, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s\n%s", sql, PQerrorMessage(connection));
    long number = strtol(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    PQfinish(connection);
    return number;
}

long databases_like(const char *prefix)
{
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM pg_database WHERE starts_with(datname, '%s')", prefix);
    return server_number(sql);
}

const char *names_of(pid_t pid)
{
    static char name[64];
    snprintf(name, sizeof name, "pgdbm_test_%x_", (unsigned)pid);
    return name;
}

void adopt_orphans(void)
{
    test_server();
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
}

void await_everybody(void)
{
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        continue;
    assert_int_equal(errno, ECHILD);
}

pid_t start_child(int (*body)(void *context), void *context)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(body(context));
    assert_true(child > 0);
    return child;
}

int await_child(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
