/* SPDX-License-Identifier: MIT */
/* Loading fixtures: files and folders, and the one transaction. What a row's fault is, is not known when rows are inserted
 * many at once: then everything is undone and done once more, row by row. No state; any thread. */
#include "testkit/fixture.h"

#include "base/alloc.h"
#include "base/error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pgdbm/transaction.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_LIMIT ((size_t)256 * 1024 * 1024)

pgdbm_status pgdbm__fixture_name(const struct pgdbm__fixture *fixture, size_t line, pgdbm_error *err,
                                 const char *format, ...)
{
    char place[160];
    char message[sizeof err->message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(place, sizeof place, format, arguments);
    va_end(arguments);
    memcpy(message, err->message, sizeof message);
    const char *path = fixture->path;
    size_t length = strlen(path);
    bool cut = length > 200; /* its end says more than its beginning */
    char number[24] = "";
    if (line > 0)
        snprintf(number, sizeof number, ":%zu", line);
    snprintf(err->message, sizeof err->message, "%s%s%s: %s%.250s", cut ? "\xE2\x80\xA6" : "",
             cut ? path + length - 200 : path, number, place, message);
    return err->status;
}

static pgdbm_status fail_file(pgdbm_error *err, const char *path, const char *what, const char *hint)
{
    pgdbm__fail(err, PGDBM_ERR_TESTDB, "fixture %.300s: %s", path, what);
    pgdbm__error_hint(err, "%s", hint);
    return PGDBM_ERR_TESTDB;
}

static pgdbm_status fail_errno(pgdbm_error *err, const char *path)
{
    char reason[128];
    /* The GNU form, which may ignore the buffer. */
    return fail_file(err, path, strerror_r(errno, reason, sizeof reason),
                     "the path is relative to the directory that the program runs in");
}

static pgdbm_status read_all(int file, const char *path, struct pgdbm__buffer *text, pgdbm_error *err)
{
    ssize_t got = 1;
    while (got > 0 || (got < 0 && errno == EINTR)) {
        if (text->length > FILE_BYTES_LIMIT)
            return fail_file(err, path, "it has more than 256 MB", "load that much by COPY (pgdbm_copy_in_fd)");
        if (!pgdbm__buffer_reserve(text, 65536))
            return pgdbm__fail_nomem(err, "reading a fixture");
        got = read(file, text->data + text->length, text->capacity - text->length - 1);
        text->length += got > 0 ? (size_t)got : 0;
    }
    if (got < 0)
        return fail_errno(err, path);
    text->data[text->length] = '\0';
    if (memchr(text->data, '\0', text->length) != NULL)
        return fail_file(err, path, "it has a byte 0 in it, which no text has", "is it UTF-16? Save it as UTF-8");
    return PGDBM_OK;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    return length > strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

static bool is_fixture(const char *name)
{
    return ends_with(name, ".sql") || ends_with(name, ".json");
}

/* What all files of one call share. */
struct loading {
    pgdbm_db *tx;
    bool by_row, bulk;
};

static pgdbm_status load_text(struct loading *loading, const char *path, const struct pgdbm__buffer *text,
                              pgdbm_error *err)
{
    size_t mark = text->length >= 3 && memcmp(text->data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    const struct pgdbm__fixture fixture = {
        .tx = loading->tx,
        .path = path,
        .text = text->data + mark,
        .bytes = text->length - mark,
        .by_row = loading->by_row,
    };
    return ends_with(path, ".sql") ? pgdbm__fixture_load_sql(&fixture, err)
                                   : pgdbm__fixture_load_json(&fixture, &loading->bulk, err);
}

static pgdbm_status load_file(struct loading *loading, int file, const char *path, pgdbm_error *err)
{
    struct pgdbm__buffer text = {0};
    if (!is_fixture(path))
        return fail_file(err, path, "it is neither a .sql nor a .json file", "the name's end says which it is");
    pgdbm_status status = read_all(file, path, &text, err);
    if (status == PGDBM_OK)
        status = load_text(loading, path, &text, err);
    pgdbm__buffer_free(&text);
    return status;
}

/* --- folders --- */

static int compare_names(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

/* The names of the fixtures in a folder, each to be freed. */
static pgdbm_status list(DIR *folder, const char *path, struct pgdbm__buffer *names, pgdbm_error *err)
{
    struct dirent *entry;
    while (errno = 0, (entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] == '.' || !is_fixture(entry->d_name))
            continue;
        char *name = pgdbm__strdup(entry->d_name);
        if (name != NULL)
            pgdbm__buffer_append(names, &name, sizeof name);
        if (name == NULL || names->failed) {
            pgdbm__free(name);
            return pgdbm__fail_nomem(err, "listing a folder of fixtures");
        }
    }
    if (errno != 0)
        return fail_errno(err, path);
    if (names->length == 0)
        return fail_file(err, path, "the folder has no .sql and no .json file", "is it the right folder?");
    return PGDBM_OK;
}

static pgdbm_status load_path(struct loading *loading, const char *path, bool in_folder, pgdbm_error *err);

static pgdbm_status load_entry(struct loading *loading, const char *folder, const char *name, pgdbm_error *err)
{
    struct pgdbm__buffer path = {0};
    pgdbm__buffer_format(&path, "%s%s%s", folder, ends_with(folder, "/") ? "" : "/", name);
    char *text = pgdbm__buffer_take(&path);
    pgdbm_status status =
        text != NULL ? load_path(loading, text, true, err) : pgdbm__fail_nomem(err, "loading a folder of fixtures");
    pgdbm__free(text);
    pgdbm__buffer_free(&path);
    return status;
}

static pgdbm_status load_folder(struct loading *loading, const char *path, pgdbm_error *err)
{
    struct pgdbm__buffer names = {0};
    DIR *folder = opendir(path);
    pgdbm_status status = folder != NULL ? list(folder, path, &names, err) : fail_errno(err, path);
    char **sorted = (char **)(void *)names.data;
    size_t n_names = names.length / sizeof *sorted;
    if (folder != NULL)
        closedir(folder);
    if (n_names > 0)
        qsort(sorted, n_names, sizeof *sorted, compare_names);
    for (size_t i = 0; i < n_names; i++) {
        if (status == PGDBM_OK)
            status = load_entry(loading, path, sorted[i], err);
        pgdbm__free(sorted[i]);
    }
    pgdbm__buffer_free(&names);
    return status;
}

static pgdbm_status load_path(struct loading *loading, const char *path, bool in_folder, pgdbm_error *err)
{
    struct stat facts;
    pgdbm_status status = PGDBM_OK;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us */
    if (file < 0 || fstat(file, &facts) != 0)
        status = fail_errno(err, path);
    else if (S_ISREG(facts.st_mode))
        status = load_file(loading, file, path, err);
    else if (!S_ISDIR(facts.st_mode))
        status = fail_file(err, path, "it is neither a file nor a folder", "fixtures are read from files");
    else if (!in_folder)
        status = load_folder(loading, path, err);
    if (file >= 0)
        close(file);
    return status;
}

/* --- the transaction --- */

static pgdbm_status load_once(pgdbm_db *db, const char *path, bool by_row, bool *bulk, pgdbm_error *err)
{
    struct loading loading = {.by_row = by_row};
    pgdbm_status status = pgdbm_begin(db, NULL, &loading.tx, err);
    if (status != PGDBM_OK)
        return status;
    status = load_path(&loading, path, false, err);
    *bulk = loading.bulk;
    if (status != PGDBM_OK) {
        (void)pgdbm_rollback(loading.tx, NULL);
        return status;
    }
    status = pgdbm_commit(loading.tx, err);
    const struct pgdbm__fixture whole = {.path = path};
    return status == PGDBM_OK ? status : pgdbm__fixture_name(&whole, 0, err, "at the commit: ");
}

pgdbm_status pgdbm_fixture_load(pgdbm_db *db, const char *path, pgdbm_error *err)
{
    pgdbm_error local;
    bool bulk = false;
    err = err != NULL ? err : &local;
    if (db == NULL || path == NULL)
        return pgdbm__fail_null(err, "pgdbm_fixture_load", db == NULL ? "db" : "path");
    pgdbm_status status = load_once(db, path, false, &bulk, err);
    return status != PGDBM_OK && bulk ? load_once(db, path, true, &bulk, err) : status;
}
