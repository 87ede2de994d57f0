/* SPDX-License-Identifier: MIT */
/* Finding the server's programs and the user to run them as. No state. */
#include "base/error.h"
#include "testkit/testkit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool has_server(const char *directory)
{
    char path[PGDBM__PATH_BYTES + 16];
    snprintf(path, sizeof path, "%s/postgres", directory);
    bool postgres = access(path, X_OK) == 0;
    snprintf(path, sizeof path, "%s/initdb", directory);
    return postgres && access(path, X_OK) == 0;
}

/* Debian keeps each version's programs out of the PATH; the highest version is taken. */
static bool find_versioned(const char *root, const char *suffix, char directory[PGDBM__PATH_BYTES])
{
    DIR *listing = opendir(root);
    double best = -1;
    struct dirent *entry;
    while (listing != NULL && (entry = readdir(listing)) != NULL) {
        char candidate[PGDBM__PATH_BYTES];
        int length = snprintf(candidate, sizeof candidate, "%s/%s%s", root, entry->d_name, suffix);
        double version = strtod(entry->d_name, NULL);
        if (length > 0 && (size_t)length < sizeof candidate && version > best && has_server(candidate)) {
            best = version;
            memcpy(directory, candidate, sizeof candidate);
        }
    }
    if (listing != NULL)
        closedir(listing);
    return best >= 0;
}

static bool find_in_path(char directory[PGDBM__PATH_BYTES])
{
    const char *path = getenv("PATH");
    while (path != NULL && *path != '\0') {
        size_t length = strcspn(path, ":");
        if (length > 0 && length < PGDBM__PATH_BYTES) {
            memcpy(directory, path, length);
            directory[length] = '\0';
            if (has_server(directory))
                return true;
        }
        path += length + (path[length] == ':');
    }
    return false;
}

pgdbm_status pgdbm__locate_binaries(char directory[PGDBM__PATH_BYTES], pgdbm_error *err)
{
    const char *chosen = getenv("PGDBM_POSTGRES_BIN");
    if (chosen != NULL && chosen[0] != '\0') {
        pgdbm__copy_text(directory, PGDBM__PATH_BYTES, chosen, strlen(chosen));
        if (has_server(directory))
            return PGDBM_OK;
    } else if (find_versioned("/usr/lib/postgresql", "/bin", directory) || find_in_path(directory) ||
               find_versioned("/usr", "/bin", directory))
        return PGDBM_OK;
    pgdbm__fail(err, PGDBM_ERR_TESTDB, "PostgreSQL's server programs (postgres, initdb) were not found%s%s",
                chosen != NULL ? " in PGDBM_POSTGRES_BIN=" : "", chosen != NULL ? chosen : "");
    pgdbm__error_hint(err, "install the package postgresql (Debian, Ubuntu: apt-get install postgresql; Fedora: "
                           "postgresql-server), or set "
                           "PGDBM_POSTGRES_BIN to the folder they are in");
    return PGDBM_ERR_TESTDB;
}

pgdbm_status pgdbm__locate_identity(struct pgdbm__identity *identity, pgdbm_error *err)
{
    static const char *const users[] = {"postgres", "nobody"};
    *identity = (struct pgdbm__identity){.uid = geteuid(), .gid = getegid()};
    if (geteuid() != 0)
        return PGDBM_OK;
    for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
        struct passwd entry, *found = NULL;
        char space[4096];
        if (getpwnam_r(users[i], &entry, space, sizeof space, &found) == 0 && found != NULL) {
            identity->drop = true;
            identity->uid = found->pw_uid;
            identity->gid = found->pw_gid;
            PGDBM__COPY_TEXT(identity->name, users[i], strlen(users[i]));
            return PGDBM_OK;
        }
    }
    pgdbm__fail(err, PGDBM_ERR_TESTDB,
                "postgres refuses to run as root, and there is no user postgres or nobody to run it as");
    pgdbm__error_hint(err, "run this program as an ordinary user, or create a system user postgres");
    return PGDBM_ERR_TESTDB;
}

void pgdbm__log_tail(const char *path, char *text, size_t bytes)
{
    text[0] = '\0';
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    off_t size = lseek(file, 0, SEEK_END);
    off_t from = size > (off_t)bytes - 1 ? size - (off_t)(bytes - 1) : 0;
    ssize_t got = pread(file, text, bytes - 1, from);
    text[got > 0 ? got : 0] = '\0';
    close(file);
}
