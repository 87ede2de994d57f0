/* SPDX-License-Identifier: MIT */
/* Starting the private server, and what lies around it. No state but the files. */
#include "private_server.h"

#include "output.h"
#include "progress.h"

#include <errno.h>
#include <fcntl.h>
#include <pgdbm/memory.h>
#include <pgdbm/testkit.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

char *pgdbm__cli_private_directory(const struct pgdbm__cli_project *project)
{
    char *path = NULL;
    if (asprintf(&path, "%s/" CLI_PRIVATE_HOME "/server", project->directory) >= 0)
        return path;
    pgdbm__cli_say_error(NULL, "out of memory");
    return NULL;
}

static pgdbm_status cannot_make(const char *path, pgdbm_error *err)
{
    *err = (pgdbm_error){.status = PGDBM_ERR_CONFIG};
    snprintf(err->message, sizeof err->message, "cannot make %.300s: %s", path, strerror(errno));
    snprintf(err->hint, sizeof err->hint,
             "the private server lies there; with DATABASE_URL or --url another database is worked on");
    return err->status;
}

/* Makes .pgdbm/ with a .gitignore of its own: nobody commits a database by accident. */
static pgdbm_status make_home(const char *directory, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    char *ignore = NULL;
    size_t home_bytes = (size_t)(strrchr(directory, '/') - directory);
    char *home = strndup(directory, home_bytes);
    if (home == NULL || asprintf(&ignore, "%s/.gitignore", home) < 0) {
        ignore = NULL;
        errno = ENOMEM;
        status = cannot_make(directory, err);
    } else if (mkdir(home, 0755) != 0 && errno != EEXIST)
        status = cannot_make(home, err);
    int file = status == PGDBM_OK ? open(ignore, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644) : -1;
    if (file >= 0) {
        if (write(file, "*\n", 2) != 2)
            status = cannot_make(ignore, err);
        close(file);
        if (status != PGDBM_OK)
            unlink(ignore);
    }
    free(home);
    free(ignore);
    return status;
}

/* One starts it, whoever comes meanwhile waits. -1: without a lock, for which there may be no room; then two who start at once may
 * be in each other's way. */
static int lock_home(const char *directory)
{
    char *path = NULL;
    if (asprintf(&path, "%.*s/lock", (int)(strrchr(directory, '/') - directory), directory) < 0)
        return -1;
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    free(path);
    if (lock >= 0 && flock(lock, LOCK_EX) != 0) {
        close(lock);
        lock = -1;
    }
    return lock;
}

static pgdbm_status start(const char *directory, char **url, bool *started, pgdbm_error *err)
{
    pgdbm_testserver *server = NULL;
    const pgdbm_testserver_options how = {.directory = directory, .detached = true, .durable = true};
    pgdbm__cli_progress_say(0, 0, "starting a private PostgreSQL server");
    pgdbm_status status = pgdbm_testserver_start(&how, &server, err);
    pgdbm__cli_progress_end();
    *started = status == PGDBM_OK;
    if (status == PGDBM_OK)
        status = pgdbm_testserver_find(directory, url, err);
    pgdbm_testserver_stop(server);
    return status;
}

pgdbm_status pgdbm__cli_private_start(const char *directory, char **url, bool *started, pgdbm_error *err)
{
    *started = false;
    pgdbm_status status = make_home(directory, err);
    int lock = status == PGDBM_OK ? lock_home(directory) : -1;
    if (status == PGDBM_OK)
        status = pgdbm_testserver_find(directory, url, err);
    if (status == PGDBM_OK && *url == NULL)
        status = start(directory, url, started, err);
    if (lock >= 0)
        close(lock);
    return status;
}
