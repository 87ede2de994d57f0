/* SPDX-License-Identifier: MIT */
/* Written beside its place, given to the disk, renamed. No state but the caller's. */
#include "whole_file.h"

#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fail(const char *path)
{
    pgdbm__cli_say_error("give a file in a folder that is there and may be written into", "cannot write %s: %s", path,
                         strerror(errno));
    return false;
}

/* What the file had, else what any new file gets. */
static mode_t mode_for(const struct stat *status)
{
    if (status != NULL)
        return status->st_mode & 0777;
    mode_t masked = umask(0);
    umask(masked);
    return 0666 & ~masked;
}

bool pgdbm__cli_whole_file_begin(struct pgdbm__cli_whole_file *file, const char *path)
{
    struct stat status;
    char real[PATH_MAX];
    bool exists = stat(path, &status) == 0;
    *file = (struct pgdbm__cli_whole_file){.fd = -1};
    /* A link stays a link. */
    file->path = strdup(exists && realpath(path, real) != NULL ? real : path);
    if (file->path == NULL)
        return fail(path);
    if (exists && !S_ISREG(status.st_mode))
        file->fd = open(file->path, O_WRONLY | O_CLOEXEC);
    else if (asprintf(&file->temporary, "%s.XXXXXX", file->path) < 0)
        file->temporary = NULL;
    else {
        file->fd = mkostemp(file->temporary, O_CLOEXEC);
        if (file->fd >= 0 && fchmod(file->fd, mode_for(exists ? &status : NULL)) != 0) {
            fail(path);
            pgdbm__cli_whole_file_end(file, false);
            return false;
        }
    }
    if (file->fd >= 0)
        return true;
    fail(path);
    free(file->path);
    free(file->temporary);
    return false;
}

bool pgdbm__cli_whole_file_end(struct pgdbm__cli_whole_file *file, bool wanted)
{
    bool fine = !wanted || file->temporary == NULL || fsync(file->fd) == 0;
    int why = errno;
    if (close(file->fd) != 0 && fine && wanted) {
        fine = false;
        why = errno;
    }
    if (fine && wanted && file->temporary != NULL) {
        fine = rename(file->temporary, file->path) == 0;
        why = errno;
    }
    if (file->temporary != NULL && !(fine && wanted))
        unlink(file->temporary);
    errno = why;
    if (!fine)
        fail(file->path);
    free(file->path);
    free(file->temporary);
    return fine;
}
