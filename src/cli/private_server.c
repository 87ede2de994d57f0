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

static pgdbm_status refuse(const char *path, const char *what, const char *why, const char *way_out, pgdbm_error *err)
{
    *err = (pgdbm_error){.status = PGDBM_ERR_CONFIG};
    snprintf(err->message, sizeof err->message, "%s %.300s: %s", what, path, why);
    snprintf(err->hint, sizeof err->hint,
             "%sthe private server lies there; with DATABASE_URL or --url another database is worked on", way_out);
    return err->status;
}

static pgdbm_status cannot_make(const char *path, pgdbm_error *err)
{
    return refuse(path, "cannot make", strerror(errno), "", err);
}

/* A folder of the server, or nothing where there will be one; and one that may be looked into, or written into, too. */
static pgdbm_status check_folder(const char *path, int rights, pgdbm_error *err)
{
    struct stat about;
    if (stat(path, &about) == 0) {
        if (!S_ISDIR(about.st_mode))
            return refuse(path, "cannot use", "it is not a directory", "move it away: ", err);
        if (faccessat(AT_FDCWD, path, rights, AT_EACCESS) == 0)
            return PGDBM_OK;
    } else if (errno == ENOENT && lstat(path, &about) != 0)
        return PGDBM_OK;
    return refuse(path, rights & W_OK ? "cannot write into" : "cannot look into", strerror(errno),
                  errno == ENOENT ? "move the link away: " : "become its owner, or remove it: ", err);
}

/* .pgdbm/, .pgdbm/server/ and the data in it. */
static pgdbm_status check_folders(const char *directory, bool to_start, pgdbm_error *err)
{
    char *data = NULL;
    char *home = strndup(directory, (size_t)(strrchr(directory, '/') - directory));
    pgdbm_status status = PGDBM_OK;
    if (home == NULL || asprintf(&data, "%s/data", directory) < 0) {
        data = NULL;
        *err = (pgdbm_error){.status = PGDBM_ERR_NOMEM, .message = "out of memory"};
        status = err->status;
    }
    const char *const folders[] = {home, directory, data};
    const int rights = to_start ? R_OK | W_OK | X_OK : X_OK;
    for (size_t i = 0; status == PGDBM_OK && i < sizeof folders / sizeof *folders; i++)
        status = check_folder(folders[i], rights, err);
    free(home);
    free(data);
    return status;
}

pgdbm_status pgdbm__cli_private_find(const char *directory, char **url, pgdbm_error *err)
{
    *url = NULL;
    pgdbm_status status = check_folders(directory, false, err);
    return status == PGDBM_OK ? pgdbm_testserver_find(directory, url, err) : status;
}

pgdbm_status pgdbm__cli_private_stop(const char *directory, pgdbm_error *err)
{
    pgdbm_status status = check_folders(directory, false, err);
    return status == PGDBM_OK ? pgdbm_testserver_stop_directory(directory, err) : status;
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
    pgdbm_status status = check_folders(directory, true, err);
    if (status != PGDBM_OK)
        return status;
    pgdbm__cli_progress_say(0, 0, "starting a private PostgreSQL server");
    status = pgdbm_testserver_start(&how, &server, err);
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
    pgdbm_status status = check_folders(directory, false, err);
    if (status == PGDBM_OK)
        status = make_home(directory, err);
    int lock = status == PGDBM_OK ? lock_home(directory) : -1;
    if (status == PGDBM_OK)
        status = pgdbm_testserver_find(directory, url, err);
    if (status == PGDBM_OK && *url == NULL)
        status = start(directory, url, started, err);
    if (lock >= 0)
        close(lock);
    return status;
}
