/* SPDX-License-Identifier: MIT */
/* run_tests COMMAND ...: runs the suite (`./dev test` gives it ctest) in a fresh PGDBM_TEST_DIRECTORY, on a shared server
 * that is there from the beginning to the end, in an order by a seed; and proves afterwards that nothing of it is left:
 *
 * - in the server no database, role, tablespace, prepared transaction, replication slot and no session;
 * - ten seconds later no server, no file in the directory, nothing of it in /dev/shm;
 * - no process that was started for it: those inherit the directory's name in their environment.
 *
 * Exit status: the command's, or 1 when something is left. One thread. */
#include <pgdbm/testkit.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MEMORY "/dev/shm"
/* The promise of the test kit. */
#define GONE_MS 10000
/* How long a process that was killed, and a janitor that cleans up behind it, may take. */
#define SETTLE_MS 5000
#define REMOVE_MS 2000
#define LOOK_MS 20

/* Template databases are the test kit's cache, and go with the server. */
static const char left_in_server[] =
    "SELECT 'database ' || datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"
    "   AND NOT starts_with(datname, 'pgdbm_template_')"
    " UNION ALL SELECT 'role ' || rolname FROM pg_roles WHERE rolname <> 'postgres' AND rolname !~ '^pg_'"
    " UNION ALL SELECT 'tablespace ' || spcname FROM pg_tablespace WHERE spcname !~ '^pg_'"
    " UNION ALL SELECT 'prepared transaction ' || gid FROM pg_prepared_xacts"
    " UNION ALL SELECT 'replication slot ' || slot_name FROM pg_replication_slots"
    " UNION ALL SELECT 'setting ' || name FROM pg_file_settings WHERE sourcefile ~ 'postgresql.auto.conf$'"
    " UNION ALL SELECT format('session %s (%s) in database %s: %s', pid, application_name, datname, query)"
    "   FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int report(const char *what, const char *which)
{
    fprintf(stderr, "left behind: %s %s\n", what, which);
    return 1;
}

static int look_into_server(const char *url)
{
    PGconn *connection = PQconnectdb(url);
    PGresult *result = NULL;
    int64_t give_up = now_ms() + SETTLE_MS;
    int n_left = 0;
    for (;; poll(NULL, 0, LOOK_MS)) {
        PQclear(result);
        result = PQexec(connection, left_in_server);
        if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) == 0 || now_ms() > give_up)
            break;
    }
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        n_left += report("a server that does not answer:", PQerrorMessage(connection));
    for (int i = 0; i < PQntuples(result); i++)
        n_left += report("in the server,", PQgetvalue(result, i, 0));
    PQclear(result);
    PQfinish(connection);
    return n_left;
}

static int look_into_directory(const char *directory, bool loud)
{
    DIR *listing = opendir(directory);
    struct dirent *entry;
    int n_left = 0;
    while (listing != NULL && (entry = readdir(listing)) != NULL) {
        char path[600];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        n_left += loud ? report("the file", path) : 1;
    }
    if (listing != NULL)
        closedir(listing);
    return n_left;
}

static bool file_contains(const char *path, const char *text)
{
    static char content[1 << 20];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    size_t used = 0;
    ssize_t got;
    while (used < sizeof content && (got = read(file, content + used, sizeof content - used)) > 0)
        used += (size_t)got;
    close(file);
    return memmem(content, used, text, strlen(text)) != NULL;
}

/* The test kit writes into each directory it makes in memory whose it is. */
static int look_into_memory(const char *directory)
{
    DIR *listing = opendir(MEMORY);
    struct dirent *entry;
    int n_left = 0;
    while (listing != NULL && (entry = readdir(listing)) != NULL) {
        char path[600];
        snprintf(path, sizeof path, MEMORY "/%s/base", entry->d_name);
        if (strncmp(entry->d_name, "pgdbm-", 6) == 0 && file_contains(path, directory))
            n_left += report("data in memory,", path);
    }
    if (listing != NULL)
        closedir(listing);
    return n_left;
}

static int look_for_processes(const char *directory, bool loud)
{
    DIR *listing = opendir("/proc");
    struct dirent *entry;
    int n_left = 0;
    while (listing != NULL && (entry = readdir(listing)) != NULL) {
        char path[300];
        char command[200] = "";
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || atoi(entry->d_name) == getpid())
            continue;
        snprintf(path, sizeof path, "/proc/%s/environ", entry->d_name);
        bool is_ours = file_contains(path, directory);
        snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
        if (!is_ours && !file_contains(path, directory))
            continue;
        int file = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t got = file >= 0 ? read(file, command, sizeof command - 1) : 0;
        for (ssize_t i = 0; i + 1 < got; i++)
            command[i] = command[i] != '\0' ? command[i] : ' ';
        if (file >= 0)
            close(file);
        snprintf(path, sizeof path, "%.20s: %s", entry->d_name, command);
        n_left += loud ? report("the process", path) : 1;
    }
    if (listing != NULL)
        closedir(listing);
    return n_left;
}

/* Gives the server back, as the last of its users. */
static int expect_all_gone(pgdbm_testserver *server, const char *directory, int64_t *took_ms)
{
    pid_t postmaster = pgdbm_testserver_pid(server);
    int64_t begin = now_ms();
    pgdbm_testserver_stop(server);
    while (kill(postmaster, 0) == 0 && now_ms() - begin < GONE_MS)
        poll(NULL, 0, LOOK_MS);
    /* Its keeper needs a moment more, and what is not the server's need not be waited for. */
    int64_t ended = now_ms();
    while ((look_into_directory(directory, false) > 0 || look_for_processes(directory, false) > 0) &&
           now_ms() - ended < REMOVE_MS && now_ms() - begin < GONE_MS)
        poll(NULL, 0, LOOK_MS);
    *took_ms = now_ms() - begin;
    int n_left =
        look_into_directory(directory, true) + look_for_processes(directory, true) + look_into_memory(directory);
    if (kill(postmaster, 0) == 0)
        n_left += report("the shared server,", "ten seconds after its last user");
    return n_left;
}

static volatile sig_atomic_t child;

static void pass_on(int number)
{
    if (child > 0)
        kill((pid_t)child, number);
}

/* The command's exit status. Signals are for the command; this process looks at what it left. The terminal sends Ctrl-C to
 * both. */
static int run(char **command)
{
    int status = 0;
    const struct sigaction action = {.sa_handler = pass_on};
    sigset_t passed;
    sigset_t before;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    sigemptyset(&passed);
    sigaddset(&passed, SIGTERM);
    sigaddset(&passed, SIGHUP);
    sigprocmask(SIG_BLOCK, &passed, &before); /* until it is known to whom they go */
    child = fork();
    if (child == 0) {
        signal(SIGTERM, SIG_DFL);
        signal(SIGHUP, SIG_DFL);
        sigprocmask(SIG_SETMASK, &before, NULL);
        execvp(command[0], command);
        perror(command[0]);
        _exit(127);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    signal(SIGINT, SIG_IGN);
    if (child < 0)
        return perror("fork"), 1;
    while (waitpid((pid_t)child, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void choose_seed(void)
{
    char text[32];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(text, sizeof text, "%u", (unsigned)(now.tv_nsec ^ now.tv_sec ^ getpid()) % 1000000);
    setenv("PGDBM_TEST_SEED", text, 0);
    printf("The tests run in an order that PGDBM_TEST_SEED=%s repeats.\n", getenv("PGDBM_TEST_SEED"));
    fflush(stdout);
}

int main(int n_arguments, char **arguments)
{
    char directory[256];
    const char *outer = getenv("PGDBM_TEST_DIRECTORY");
    pgdbm_testserver *server = NULL;
    pgdbm_error err;
    if (n_arguments < 2) {
        fprintf(stderr, "usage: %s COMMAND [ARGUMENT ...]\n", arguments[0]);
        return 2;
    }
    snprintf(directory, sizeof directory, "%s/pgdbm-suite-XXXXXX", outer != NULL ? outer : "/tmp");
    if (mkdtemp(directory) == NULL)
        return perror(directory), 1;
    setenv("PGDBM_TEST_DIRECTORY", directory, 1);
    choose_seed();
    if (pgdbm_testserver_shared(NULL, &server, &err) != PGDBM_OK) {
        char text[2048];
        pgdbm_error_format(&err, text, sizeof text);
        fprintf(stderr, "%s\n", text);
        rmdir(directory);
        return 1;
    }
    int status = run(arguments + 1);
    int n_left = look_into_server(pgdbm_testserver_url(server));
    int64_t took_ms;
    n_left += expect_all_gone(server, directory, &took_ms);
    if (n_left > 0)
        fprintf(stderr, "%d things are left behind.\n", n_left);
    else
        fprintf(stderr,
                "Nothing is left: no database, process or file; the server was gone %.1f s after its last user.\n",
                (double)took_ms / 1000);
    rmdir(directory); /* with files in it, it stays */
    return status != 0 ? status : n_left > 0;
}
