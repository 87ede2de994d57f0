/* SPDX-License-Identifier: MIT */
/* Migrations from a directory. What lies outside of it is never read, whatever links say; nothing is skipped silently
 * but hidden files and files that are not .sql. No state, any thread. */
#include "migrate/source.h"

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/error.h"
#include "migrate/name.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct directory {
    const char *path; /* as the caller wrote it, for messages */
    char real[PATH_MAX];
    struct pgdbm__buffer label; /* "<path>/<file>", for messages; terminated */
};

/* Fails with errno's reason. */
static pgdbm_status fail_errno(pgdbm_error *err, const char *what, const char *path, const char *hint)
{
    char reason[128];
    /* The GNU form, which may ignore the buffer. */
    const char *text = strerror_r(errno, reason, sizeof reason);
    pgdbm__fail(err, PGDBM_ERR_CONFIG, "%s %s cannot be read: %s", what, path, text);
    pgdbm__error_hint(err, "%s", hint);
    return PGDBM_ERR_CONFIG;
}

static bool is_inside(const char *real, const char *directory)
{
    size_t length = strlen(directory);
    if (length == 1) /* "/" */
        return true;
    return strncmp(real, directory, length) == 0 && real[length] == '/';
}

/* Reads to the end, or one byte more than the limit. */
static pgdbm_status read_all(int fd, const char *label, char **text, size_t *bytes, pgdbm_error *err)
{
    struct pgdbm__buffer buffer = {0};
    pgdbm_status status = PGDBM_OK;
    ssize_t got = 1;
    while (status == PGDBM_OK && got > 0 && buffer.length <= PGDBM__MIGRATION_BYTES_LIMIT) {
        if (!pgdbm__buffer_reserve(&buffer, 16384)) {
            status = pgdbm__fail_nomem(err, "reading a migration file");
            break;
        }
        got = read(fd, buffer.data + buffer.length, buffer.capacity - buffer.length);
        if (got > 0)
            buffer.length += (size_t)got;
        else if (got < 0 && errno == EINTR)
            got = 1;
        else if (got < 0)
            status = fail_errno(err, "migration file", label, "check the disk it lies on");
    }
    *bytes = buffer.length;
    *text = status == PGDBM_OK ? pgdbm__buffer_take(&buffer) : NULL;
    if (status == PGDBM_OK && *text == NULL)
        status = pgdbm__fail_nomem(err, "reading a migration file");
    pgdbm__buffer_free(&buffer);
    return status;
}

/* Opens what the entry is in the end, if that lies in the directory and is a regular file. */
static pgdbm_status open_entry(struct directory *directory, int *fd, pgdbm_error *err)
{
    const char *label = directory->label.data;
    char real[PATH_MAX];
    if (realpath(label, real) == NULL)
        return fail_errno(err, "migration file", label, "check the link and the rights of this process");
    if (!is_inside(real, directory->real)) {
        pgdbm__fail(err, PGDBM_ERR_CONFIG, "migration file %s is a link that leaves its directory", label);
        pgdbm__error_detail(err, "it leads to %s", real);
        pgdbm__error_hint(err, "copy the file into %s", directory->path);
        return PGDBM_ERR_CONFIG;
    }
    /* The path is resolved: a link that appears now was put there since. Not blocking, lest a FIFO holds us. */
    *fd = open(real, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (*fd < 0)
        return fail_errno(err, "migration file", label, "let this process read it");
    struct stat facts;
    if (fstat(*fd, &facts) != 0)
        return fail_errno(err, "migration file", label, "check the disk it lies on");
    if (!S_ISREG(facts.st_mode)) {
        pgdbm__fail(err, PGDBM_ERR_CONFIG, "%s is named like a migration but is %s", label,
                    S_ISDIR(facts.st_mode) ? "a directory" : "not a regular file");
        pgdbm__error_hint(err, "move it out of %s", directory->path);
        return PGDBM_ERR_CONFIG;
    }
    return PGDBM_OK;
}

static pgdbm_status load_entry(struct pgdbm__migration_set *set, struct directory *directory, const char *filename,
                               pgdbm_error *err)
{
    int fd = -1;
    char *text = NULL;
    size_t bytes = 0;
    directory->label.length = 0;
    pgdbm__buffer_format(&directory->label, "%s/%s", directory->path, filename);
    if (directory->label.failed)
        return pgdbm__fail_nomem(err, "reading a migration directory");
    pgdbm_status status = open_entry(directory, &fd, err);
    if (status == PGDBM_OK)
        status = read_all(fd, directory->label.data, &text, &bytes, err);
    if (status == PGDBM_OK)
        status = pgdbm__migration_set_add(set, filename, directory->label.data, text, bytes, text, err);
    if (fd >= 0)
        close(fd);
    return status;
}

pgdbm_status pgdbm__migration_directory_load(struct pgdbm__migration_set *set, const char *path, pgdbm_error *err)
{
    struct directory directory = {.path = path};
    pgdbm_status status = PGDBM_OK;
    DIR *stream = realpath(path, directory.real) != NULL ? opendir(directory.real) : NULL;
    if (stream == NULL)
        return fail_errno(err, "migration directory", path[0] != '\0' ? path : "\"\"",
                          "give the path of the directory the .sql files are in, or embed them in the program with "
                          "pgdbm_embed_migrations()");
    while (status == PGDBM_OK) {
        errno = 0;
        struct dirent *entry = readdir(stream);
        if (entry == NULL) {
            if (errno != 0)
                status = fail_errno(err, "migration directory", path, "check the disk it lies on");
            break;
        }
        if (entry->d_name[0] != '.' && pgdbm__migration_name_is_sql(entry->d_name))
            status = load_entry(set, &directory, entry->d_name, err);
    }
    closedir(stream);
    pgdbm__buffer_free(&directory.label);
    return status;
}
