/* SPDX-License-Identifier: MIT */
/* The set of migrations: adding, checking, ordering. No state, any thread. */
#include "migrate/source.h"

#include "base/alloc.h"
#include "base/error.h"
#include "migrate/name.h"
#include "sql/report.h"

#include <stdlib.h>
#include <string.h>

static pgdbm_status check_name(const char *filename, const char *label, const char **version, size_t *version_bytes,
                               pgdbm_error *err)
{
    size_t length = strlen(filename);
    if (length > PGDBM__FILENAME_LIMIT) {
        pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migration file name %.60s... has %zu bytes; the history holds %d",
                    filename, length, PGDBM__FILENAME_LIMIT);
        pgdbm__error_hint(err, "give the file a shorter name");
        return PGDBM_ERR_MIGRATION;
    }
    bool usable = pgdbm__text_first_bad(filename, length) == length && strchr(filename, '/') == NULL;
    for (size_t i = 0; usable && i < length; i++)
        usable = (unsigned char)filename[i] >= ' ' && filename[i] != 0x7F;
    if (!usable || !pgdbm__migration_name_parse(filename, version, version_bytes)) {
        char shown[256];
        pgdbm__printable(label, strlen(label), shown, sizeof shown);
        pgdbm__fail(err, PGDBM_ERR_MIGRATION, "%s is not named like a migration", shown);
        pgdbm__error_hint(err, "name it " PGDBM__MIGRATION_FORMS ", or move it elsewhere");
        return PGDBM_ERR_MIGRATION;
    }
    return PGDBM_OK;
}

static pgdbm_status check_text(const char *label, const char *text, size_t bytes, pgdbm_error *err)
{
    if (bytes > PGDBM__MIGRATION_BYTES_LIMIT) {
        pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migration file %s has more than %zu MiB", label,
                    PGDBM__MIGRATION_BYTES_LIMIT >> 20);
        pgdbm__error_hint(err, "split it, or load large data with COPY outside of migrations");
        return PGDBM_ERR_MIGRATION;
    }
    size_t bad = pgdbm__text_first_bad(text, bytes);
    if (bad < bytes) {
        size_t line = pgdbm__place_of(text, bytes, bad).line;
        pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migration file %s, line %zu: byte 0x%02X at offset %zu is not %s", label,
                    line, (unsigned char)text[bad], bad, text[bad] == '\0' ? "text" : "valid UTF-8");
        pgdbm__error_hint(err, "save the file as UTF-8");
        return PGDBM_ERR_MIGRATION;
    }
    return PGDBM_OK;
}

/* Room for one more file; zeroed. NULL when memory is short. */
static struct pgdbm__migration_file *next_file(struct pgdbm__migration_set *set)
{
    if (set->n_files == set->capacity) {
        size_t capacity = set->capacity > 0 ? set->capacity * 2 : 16;
        struct pgdbm__migration_file *files =
            capacity > SIZE_MAX / sizeof *files ? NULL : pgdbm__realloc(set->files, capacity * sizeof *files);
        if (files == NULL)
            return NULL;
        set->files = files;
        set->capacity = capacity;
    }
    struct pgdbm__migration_file *file = &set->files[set->n_files];
    memset(file, 0, sizeof *file);
    return file;
}

pgdbm_status pgdbm__migration_set_add(struct pgdbm__migration_set *set, const char *filename, const char *label,
                                      const char *text, size_t bytes, char *owned_text, pgdbm_error *err)
{
    const char *version = NULL;
    size_t version_bytes = 0;
    pgdbm_status status = check_name(filename, label, &version, &version_bytes, err);
    if (status == PGDBM_OK)
        status = check_text(label, text, bytes, err);
    if (status != PGDBM_OK)
        goto done;
    struct pgdbm__migration_file *file = next_file(set);
    if (file == NULL) {
        status = pgdbm__fail_nomem(err, "collecting migrations");
        goto done;
    }
    set->n_files++;
    file->text = text;
    file->bytes = bytes;
    file->owned_text = owned_text;
    owned_text = NULL;
    file->filename = pgdbm__strdup(filename);
    file->version = pgdbm__memdup(version, version_bytes);
    file->no_transaction = pgdbm__migration_header_read(text, bytes).no_transaction;
    if (file->filename == NULL || file->version == NULL || !pgdbm__migration_checksum(text, bytes, file->checksum))
        status = pgdbm__fail_nomem(err, "collecting migrations");
done:
    pgdbm__free(owned_text);
    return status;
}

static int compare_files(const void *a, const void *b)
{
    const struct pgdbm__migration_file *x = a;
    const struct pgdbm__migration_file *y = b;
    int order = pgdbm__migration_version_compare(x->version, y->version);
    return order != 0 ? order : strcmp(x->filename, y->filename);
}

static pgdbm_status order_files(struct pgdbm__migration_set *set, pgdbm_error *err)
{
    if (set->n_files > 1)
        qsort(set->files, set->n_files, sizeof *set->files, compare_files);
    for (size_t i = 1; i < set->n_files; i++) {
        const struct pgdbm__migration_file *a = &set->files[i - 1];
        const struct pgdbm__migration_file *b = &set->files[i];
        if (pgdbm__migration_version_compare(a->version, b->version) == 0) {
            pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migrations %s and %s have the same number", a->filename,
                        b->filename);
            pgdbm__error_hint(err, "give one of them the next free number (001 and 1 are the same)");
            return PGDBM_ERR_MIGRATION;
        }
    }
    return PGDBM_OK;
}

static pgdbm_status load_texts(struct pgdbm__migration_set *set, const pgdbm_migrations *migrations, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; status == PGDBM_OK && i < migrations->n_texts; i++) {
        const pgdbm_migration_text *text = &migrations->texts[i];
        if (text->filename == NULL || (text->text == NULL && text->bytes > 0))
            status = pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "embedded migration %zu has no %s", i,
                                 text->filename == NULL ? "filename" : "text");
        else
            status = pgdbm__migration_set_add(set, text->filename, text->filename, text->text != NULL ? text->text : "",
                                              text->bytes, NULL, err);
    }
    return status;
}

pgdbm_status pgdbm__migration_set_load(struct pgdbm__migration_set *set, const pgdbm_migrations *migrations,
                                       bool allow_empty, pgdbm_error *err)
{
    bool has_texts = migrations->texts != NULL || migrations->n_texts > 0;
    bool two = migrations->directory != NULL && has_texts;
    pgdbm_status status;
    if (two || (migrations->directory == NULL && !has_texts)) {
        pgdbm__fail(err, PGDBM_ERR_CONFIG, "migrations have %s", two ? "two sources" : "no source");
        pgdbm__error_hint(err, "set either directory, or texts as pgdbm_embed_migrations() makes them");
        return PGDBM_ERR_CONFIG;
    }
    if (migrations->directory != NULL)
        status = pgdbm__migration_directory_load(set, migrations->directory, err);
    else if (migrations->texts == NULL)
        status =
            pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "migrations: n_texts is %zu and texts is NULL", migrations->n_texts);
    else
        status = load_texts(set, migrations, err);
    if (status == PGDBM_OK)
        status = order_files(set, err);
    if (status == PGDBM_OK && set->n_files == 0 && !allow_empty) {
        status = pgdbm__fail(err, PGDBM_ERR_MIGRATION, "there are no migrations in %s",
                             migrations->directory != NULL ? migrations->directory : "the embedded set");
        pgdbm__error_hint(err, "an empty source is nearly always a wrong path or a packaging error; set allow_empty if "
                               "it is meant");
    }
    return status;
}

void pgdbm__migration_set_free(struct pgdbm__migration_set *set)
{
    for (size_t i = 0; i < set->n_files; i++) {
        pgdbm__free(set->files[i].filename);
        pgdbm__free(set->files[i].version);
        pgdbm__free(set->files[i].owned_text);
        pgdbm__script_free(&set->files[i].script);
    }
    pgdbm__free(set->files);
    *set = (struct pgdbm__migration_set){0};
}
