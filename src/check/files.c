/* SPDX-License-Identifier: MIT */
/* Which files there are, and what is in them. No state but the run's. */
#include "check/run.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_DEPTH = 64, MOST_BYTES = 512 * 1024 * 1024 };

static bool ends_with(const char *text, const char *end)
{
    size_t bytes = strlen(text), end_bytes = strlen(end);
    return bytes > end_bytes && strcmp(text + bytes - end_bytes, end) == 0;
}

static bool is_source(const char *name)
{
    static const char *const endings[] = {".c", ".h", ".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (ends_with(name, endings[i]))
            return true;
    return false;
}

/* NNN_name.sql, V1__name.sql, R__name.sql, as docs/migrations.md has them. */
static bool is_migration(const char *name)
{
    bool letter = name[0] == 'V' && isdigit((unsigned char)name[1]);
    size_t digits = strspn(name + letter, "0123456789");
    if (strncmp(name, "R__", 3) == 0)
        return true;
    return digits > 0 && name[letter + digits] == '_' && (!letter || name[1 + digits + 1] == '_');
}

static bool add_file(struct pgdbm__check_run *run, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    if (run->n_files == run->file_capacity) {
        size_t capacity = run->file_capacity == 0 ? 64 : 2 * run->file_capacity;
        struct pgdbm__check_file *longer = realloc(run->files, capacity * sizeof *longer);
        if (longer == NULL)
            return false;
        run->files = longer;
        run->file_capacity = capacity;
    }
    struct pgdbm__check_file *file = &run->files[run->n_files];
    *file = (struct pgdbm__check_file){.path = strdup(path), .sql = !is_source(name)};
    file->migration = file->sql && is_migration(name);
    run->n_files += file->path != NULL;
    return file->path != NULL;
}

/* Folders that hold what others wrote or a build has made. */
static bool is_passed_over(int folder, const char *name)
{
    struct stat status;
    return name[0] == '.' || strcmp(name, "node_modules") == 0 || fstatat(folder, "CMakeCache.txt", &status, 0) == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Links to folders are not followed: they go in circles, or to what is read by its own name. */
static bool walk(struct pgdbm__check_run *run, const char *path, int depth)
{
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, is_visible, by_name);
    if (n < 0)
        return false;
    bool fine = true;
    for (int i = 0; i < n; i++) {
        char *inner = NULL;
        struct stat status = {0};
        const char *name = entries[i]->d_name;
        bool slash = ends_with(path, "/");
        if (fine &&
            asprintf(&inner, strcmp(path, ".") == 0 ? "%.0s%.0s%s" : "%s%s%s", path, slash ? "" : "/", name) < 0)
            inner = NULL;
        if (fine && inner == NULL) {
            errno = ENOMEM;
            fine = false;
        } else if (fine && lstat(inner, &status) == 0 && S_ISDIR(status.st_mode) && depth < MOST_DEPTH) {
            int folder = open(inner, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            /* One that cannot be entered is told of when its turn comes, as a file is. */
            bool passed_over = folder >= 0 && is_passed_over(folder, name);
            if (folder < 0)
                fine = add_file(run, inner);
            else
                close(folder);
            if (folder >= 0 && !passed_over)
                fine = walk(run, inner, depth + 1);
        } else if (fine && !S_ISDIR(status.st_mode) && (is_source(name) || ends_with(name, ".sql")))
            fine = add_file(run, inner);
        free(inner);
        free(entries[i]);
    }
    free(entries);
    return fine;
}

bool pgdbm__check_run_add_path(struct pgdbm__check_run *run, const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return false;
    return S_ISDIR(status.st_mode) ? walk(run, path, 0) : add_file(run, path);
}

char *pgdbm__check_file_text(const char *path, size_t *bytes, const char **why)
{
    struct stat status;
    char *text = NULL;
    size_t got = 0;
    *bytes = 0;
    *why = NULL;
    /* Not to wait for whoever writes to a pipe. */
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0 || fstat(file, &status) != 0)
        *why = strerrordesc_np(errno);
    else if (!S_ISREG(status.st_mode))
        *why = "not a file";
    else if (status.st_size > MOST_BYTES)
        *why = "more than 512 MB";
    else if ((text = malloc((size_t)status.st_size + 1)) == NULL)
        *why = strerrordesc_np(ENOMEM);
    while (text != NULL && *why == NULL && got < (size_t)status.st_size) {
        ssize_t n = read(file, text + got, (size_t)status.st_size - got);
        if (n < 0 && errno != EINTR)
            *why = strerrordesc_np(errno);
        if (n == 0)
            break;
        got += n > 0 ? (size_t)n : 0;
    }
    if (file >= 0)
        close(file);
    if (*why != NULL) {
        free(text);
        return NULL;
    }
    text[got] = '\0';
    *bytes = got;
    return text;
}
