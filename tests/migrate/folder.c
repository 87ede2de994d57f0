/* SPDX-License-Identifier: MIT */
/* Throw-away directories. */
#include "migrate/folder.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A test that cannot have its files cannot say anything. */
static void must(int condition, const char *what, const char *path)
{
    if (!condition) {
        fprintf(stderr, "cannot %s %s\n", what, path);
        perror("errno");
        exit(99);
    }
}

void folder_make(struct folder *folder)
{
    const char *base = getenv("PGDBM_TEST_DIRECTORY");
    snprintf(folder->path, sizeof folder->path, "%s/pgdbm-migrations-XXXXXX", base != NULL ? base : "/tmp");
    must(mkdtemp(folder->path) != NULL, "make", folder->path);
    must(chmod(folder->path, 0755) == 0, "open", folder->path);
}

static int remove_entry(const char *path, const struct stat *facts, int kind, struct FTW *place)
{
    (void)facts;
    (void)kind;
    (void)place;
    return remove(path);
}

void folder_remove(struct folder *folder)
{
    must(nftw(folder->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0, "remove", folder->path);
}

const char *folder_path(const struct folder *folder, const char *filename)
{
    static _Thread_local char path[PATH_MAX + 512];
    snprintf(path, sizeof path, "%s/%s", folder->path, filename);
    return path;
}

void folder_write_bytes(const struct folder *folder, const char *filename, const void *data, size_t bytes)
{
    const char *path = folder_path(folder, filename);
    FILE *file = fopen(path, "wb");
    must(file != NULL, "create", path);
    must(fwrite(data, 1, bytes, file) == bytes, "write", path);
    must(fclose(file) == 0, "write", path);
}

void folder_write(const struct folder *folder, const char *filename, const char *text)
{
    folder_write_bytes(folder, filename, text, strlen(text));
}

void folder_delete(const struct folder *folder, const char *filename)
{
    const char *path = folder_path(folder, filename);
    must(unlink(path) == 0, "delete", path);
}
