/* SPDX-License-Identifier: MIT */
/* Starting and stopping PgBouncer. It refuses to be root, and runs as who owns the server's socket. */
#include "migrate/pooler.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const char *find_program(void)
{
    static const char *const places[] = {"/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (access(places[i], X_OK) == 0)
            return places[i];
    return NULL;
}

static void write_configuration(const struct pooler *pooler, const char *server_directory, char *path, size_t bytes)
{
    snprintf(path, bytes, "%s/pgbouncer.ini", pooler->directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "[databases]\n* = host=%s user=postgres\n"
            "[pgbouncer]\nlisten_addr =\nlisten_port = 5432\nunix_socket_dir = %s\npool_mode = transaction\n"
            "auth_type = any\ndefault_pool_size = 4\nmax_client_conn = 50\nserver_reset_query =\n"
            "ignore_startup_parameters = options,extra_float_digits,search_path\nlogfile = %s/log\n",
            server_directory, pooler->directory, pooler->directory);
    assert_int_equal(fclose(file), 0);
}

static void become(const struct stat *owner)
{
    if (geteuid() == 0 && (setgid(owner->st_gid) != 0 || setuid(owner->st_uid) != 0))
        _exit(126);
}

static bool answers(const struct pooler *pooler)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/.s.PGSQL.5432", pooler->directory);
    int file = socket(AF_UNIX, SOCK_STREAM, 0);
    bool connected = connect(file, (struct sockaddr *)&address, sizeof address) == 0;
    close(file);
    return connected;
}

static void wait_until_it_answers(const struct pooler *pooler)
{
    for (int i = 0; i < 1500; i++) {
        if (answers(pooler))
            return;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    fail_msg("pgbouncer does not answer in %s", pooler->directory);
}

bool pooler_start(struct pooler *pooler, const char *server_directory)
{
    const char *program = find_program();
    struct stat owner;
    char path[128];
    if (program == NULL) {
        print_message("SKIPPED: there is no pgbouncer here (./dev install-deps installs it)\n");
        return false;
    }
    test_directory_make("pooler", pooler->directory);
    assert_int_equal(stat(server_directory, &owner), 0);
    write_configuration(pooler, server_directory, path, sizeof path);
    if (geteuid() == 0)
        assert_int_equal(chown(pooler->directory, owner.st_uid, owner.st_gid), 0);
    pooler->pid = fork();
    assert_true(pooler->pid >= 0);
    if (pooler->pid == 0) {
        become(&owner);
        execl(program, program, "-q", path, (char *)NULL);
        _exit(127);
    }
    wait_until_it_answers(pooler);
    return true;
}

void pooler_stop(struct pooler *pooler)
{
    static const char *const files[] = {"pgbouncer.ini", "log", ".s.PGSQL.5432"};
    char path[128];
    kill(pooler->pid, SIGKILL);
    waitpid(pooler->pid, NULL, 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", pooler->directory, files[i]);
        unlink(path);
    }
    rmdir(pooler->directory);
}
