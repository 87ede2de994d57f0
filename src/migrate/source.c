/* SPDX-License-Identifier: MIT */
/* The set of migrations: adding, checking, ordering. No state, any thread. */
#include "migrate/source.h"

#include "base/alloc.h"
#include "base/error.h"
#include "migrate/name.h"
#include "sql/report.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A down part in a file of its own, until the file is known that it belongs to. */
struct pgdbm__migration_down {
    char *filename;
    size_t stem_bytes;
    char *version;
    const char *text;
    size_t bytes;
    char *owned_text;
};

static pgdbm_status check_name(const char *filename, const char *label, struct pgdbm__migration_name *name,
                               pgdbm_error *err)
{
    size_t length = strlen(filename);
    if (length > PGDBM__FILENAME_LIMIT) {
        pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migration file name %.60s... has %zu bytes; the history holds %d",
                    filename, length, PGDBM__FILENAME_LIMIT);
        pgdbm__error_hint(err, "give the file a shorter name");
        return PGDBM_ERR_MIGRATION;
    }
    char shown[256];
    bool usable = pgdbm__text_first_bad(filename, length) == length && strchr(filename, '/') == NULL;
    for (size_t i = 0; usable && i < length; i++)
        usable = (unsigned char)filename[i] >= ' ' && filename[i] != 0x7F;
    if (!usable || !pgdbm__migration_name_parse(filename, name)) {
        pgdbm__fail(err, PGDBM_ERR_MIGRATION, "%s is not named like a migration",
                    pgdbm__printable(label, strlen(label), shown, sizeof shown));
        pgdbm__error_hint(err, "name it " PGDBM__MIGRATION_FORMS
                               " (and its way back NNN_name.down.sql), or move it elsewhere");
        return PGDBM_ERR_MIGRATION;
    }
    if (name->repeatable && name->down) {
        pgdbm__fail(err, PGDBM_ERR_MIGRATION, "%s: a repeatable migration has no down part",
                    pgdbm__printable(label, strlen(label), shown, sizeof shown));
        pgdbm__error_hint(err, "its way back is its earlier text; move the file elsewhere");
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

/* Room for one more in an array that grows; zeroed. NULL when memory is short. */
static void *next_place(void **array, size_t n, size_t *capacity, size_t bytes)
{
    if (n == *capacity) {
        size_t wanted = *capacity > 0 ? *capacity * 2 : 16;
        void *grown = wanted > SIZE_MAX / bytes ? NULL : pgdbm__realloc(*array, wanted * bytes);
        if (grown == NULL)
            return NULL;
        *array = grown;
        *capacity = wanted;
    }
    return memset((char *)*array + n * bytes, 0, bytes);
}

/* Reads what the text says of itself. */
static pgdbm_status read_text(struct pgdbm__migration_file *file, pgdbm_error *err)
{
    struct pgdbm__migration_header header = {0};
    pgdbm_status status = pgdbm__migration_divide(file->filename, file->text, file->bytes, &file->up, &file->down, err);
    if (status == PGDBM_OK)
        status = pgdbm__migration_header_read(&file->up, &header, err);
    file->no_transaction = header.no_transaction;
    file->lock_timeout_ms = header.lock_timeout_ms;
    file->requires = header.requires; /* taken over */
    file->n_requires = header.n_requires;
    if (status == PGDBM_OK && file->repeatable && file->down.text != NULL) {
        status =
            pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migration %s, line %zu: a repeatable migration has no down part",
                        file->filename, file->down.first_line - 1);
        pgdbm__error_hint(err, "its way back is its earlier text; take the part out");
    }
    if (status == PGDBM_OK && (!pgdbm__migration_checksum(file->text, file->bytes, file->checksum) ||
                               !pgdbm__migration_semantic_checksum(file->text, file->bytes, file->semantic_checksum)))
        status = pgdbm__fail_nomem(err, "collecting migrations");
    return status;
}

static pgdbm_status add_file(struct pgdbm__migration_set *set, const char *filename,
                             const struct pgdbm__migration_name *name, const char *text, size_t bytes, char *owned_text,
                             pgdbm_error *err)
{
    void *files = set->files;
    struct pgdbm__migration_file *file = next_place(&files, set->n_files, &set->capacity, sizeof *file);
    set->files = files;
    if (file == NULL) {
        pgdbm__free(owned_text);
        return pgdbm__fail_nomem(err, "collecting migrations");
    }
    set->n_files++;
    set->n_versioned += name->repeatable ? 0 : 1;
    file->text = text;
    file->bytes = bytes;
    file->owned_text = owned_text;
    file->repeatable = name->repeatable;
    file->filename = pgdbm__strdup(filename);
    file->version = pgdbm__memdup(name->version, name->version_bytes);
    if (file->filename == NULL || file->version == NULL)
        return pgdbm__fail_nomem(err, "collecting migrations");
    return read_text(file, err);
}

static pgdbm_status add_down(struct pgdbm__migration_set *set, const char *filename,
                             const struct pgdbm__migration_name *name, const char *text, size_t bytes, char *owned_text,
                             pgdbm_error *err)
{
    void *downs = set->downs;
    struct pgdbm__migration_down *down = next_place(&downs, set->n_downs, &set->downs_capacity, sizeof *down);
    set->downs = downs;
    if (down == NULL) {
        pgdbm__free(owned_text);
        return pgdbm__fail_nomem(err, "collecting migrations");
    }
    set->n_downs++;
    *down = (struct pgdbm__migration_down){
        .stem_bytes = name->stem_bytes, .text = text, .bytes = bytes, .owned_text = owned_text};
    down->filename = pgdbm__strdup(filename);
    down->version = pgdbm__memdup(name->version, name->version_bytes);
    return down->filename != NULL && down->version != NULL ? PGDBM_OK : pgdbm__fail_nomem(err, "collecting migrations");
}

pgdbm_status pgdbm__migration_set_add(struct pgdbm__migration_set *set, const char *filename, const char *label,
                                      const char *text, size_t bytes, char *owned_text, pgdbm_error *err)
{
    struct pgdbm__migration_name name;
    pgdbm_status status = check_name(filename, label, &name, err);
    if (status == PGDBM_OK)
        status = check_text(label, text, bytes, err);
    if (status != PGDBM_OK) {
        pgdbm__free(owned_text);
        return status;
    }
    return name.down ? add_down(set, filename, &name, text, bytes, owned_text, err)
                     : add_file(set, filename, &name, text, bytes, owned_text, err);
}

static int compare_files(const void *a, const void *b)
{
    const struct pgdbm__migration_file *x = a;
    const struct pgdbm__migration_file *y = b;
    if (x->repeatable != y->repeatable)
        return x->repeatable ? 1 : -1;
    int order = pgdbm__migration_version_compare(x->version, y->version);
    return order != 0 ? order : strcmp(x->filename, y->filename);
}

static pgdbm_status order_files(struct pgdbm__migration_set *set, pgdbm_migration_policy duplicate, pgdbm_error *err)
{
    if (set->n_files > 1)
        qsort(set->files, set->n_files, sizeof *set->files, compare_files);
    for (size_t i = 1; i < set->n_files; i++) {
        const struct pgdbm__migration_file *a = &set->files[i - 1];
        const struct pgdbm__migration_file *b = &set->files[i];
        bool same_name = strcmp(a->filename, b->filename) == 0; /* which only texts that are compiled in can have */
        bool same_number = i < set->n_versioned && pgdbm__migration_version_compare(a->version, b->version) == 0;
        if (same_name) {
            pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migration %s is there twice", a->filename);
            pgdbm__error_hint(err, "take one of the texts out");
            return PGDBM_ERR_MIGRATION;
        }
        if (same_number && duplicate != PGDBM_POLICY_ALLOW) {
            pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migrations %s and %s have the same number", a->filename,
                        b->filename);
            pgdbm__error_hint(err, "give one of them the next free number (001 and 1 are the same), or set the policy "
                                   "`duplicate`");
            return PGDBM_ERR_MIGRATION;
        }
    }
    return PGDBM_OK;
}

/* Gives a down part to its file. The files are in order. */
static pgdbm_status pair(struct pgdbm__migration_set *set, struct pgdbm__migration_down *down, pgdbm_error *err)
{
    char filename[PGDBM__FILENAME_LIMIT + 1];
    struct pgdbm__script_source up, inner;
    struct pgdbm__migration_file wanted = {.filename = filename, .version = down->version};
    snprintf(filename, sizeof filename, "%.*s.sql", (int)down->stem_bytes, down->filename);
    struct pgdbm__migration_file *file = bsearch(&wanted, set->files, set->n_files, sizeof *set->files, compare_files);
    if (file == NULL) {
        pgdbm__fail(err, PGDBM_ERR_MIGRATION, "%s is the way back of %s, which is not there", down->filename, filename);
        pgdbm__error_hint(err, "give both files the same name before .sql and .down.sql, or take it out");
        return PGDBM_ERR_MIGRATION;
    }
    if (file->down.text != NULL) {
        pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migration %s has two down parts: its own, line %zu, and %s", filename,
                    file->down.first_line - 1, down->filename);
        pgdbm__error_hint(err, "take one of them out");
        return PGDBM_ERR_MIGRATION;
    }
    pgdbm_status status = pgdbm__migration_divide(down->filename, down->text, down->bytes, &up, &inner, err);
    if (status == PGDBM_OK && inner.text != NULL) {
        status = pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migration %s, line %zu: a down part of a down part",
                             down->filename, inner.first_line - 1);
        pgdbm__error_hint(err, "the file is the way back already: take the line out");
    }
    if (status != PGDBM_OK)
        return status;
    file->down = up;
    file->down.down = true;
    file->down_filename = down->filename;
    file->owned_down = down->owned_text;
    file->down.filename = file->down_filename;
    down->filename = NULL;
    down->owned_text = NULL;
    return PGDBM_OK;
}

static pgdbm_status pair_downs(struct pgdbm__migration_set *set, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; status == PGDBM_OK && i < set->n_downs; i++)
        status = pair(set, &set->downs[i], err);
    return status;
}

/* `expected` NULL: nothing to compare with. */
static pgdbm_status digest_files(struct pgdbm__migration_set *set, const char *expected, pgdbm_error *err)
{
    set->digest[0] = '\0';
    for (size_t i = 0; i < set->n_files; i++)
        if (!pgdbm__migration_digest_step(set->digest, set->files[i].filename, set->files[i].checksum))
            return pgdbm__fail_nomem(err, "collecting migrations");
    if (expected == NULL || strcmp(expected, set->digest) == 0)
        return PGDBM_OK;
    pgdbm__fail(err, PGDBM_ERR_MIGRATION, "the migrations are not those they were made from: their digest is %s",
                set->digest);
    pgdbm__error_detail(err, "expected %.80s", expected);
    pgdbm__error_hint(err, "build the program again; texts that are written by hand leave .digest NULL");
    return PGDBM_ERR_MIGRATION;
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
                                       const pgdbm_migration_policies *policies, bool allow_empty, pgdbm_error *err)
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
        status = order_files(set, policies != NULL ? policies->duplicate : PGDBM_POLICY_ERROR, err);
    if (status == PGDBM_OK)
        status = pair_downs(set, err);
    if (status == PGDBM_OK)
        status = digest_files(set, migrations->digest, err);
    if (status == PGDBM_OK && set->n_files == 0 && !allow_empty) {
        status = pgdbm__fail(err, PGDBM_ERR_MIGRATION, "there are no migrations in %s",
                             migrations->directory != NULL ? migrations->directory : "the embedded set");
        pgdbm__error_hint(err, "an empty source is nearly always a wrong path or a packaging error; set allow_empty if "
                               "it is meant");
    }
    return status;
}

pgdbm_status pgdbm__migration_file_prepare(struct pgdbm__migration_file *file, const char *schema, pgdbm_error *err)
{
    struct pgdbm__script down = {0};
    pgdbm_status status = pgdbm__script_prepare(&file->script, &file->up, schema, err);
    if (status == PGDBM_OK && file->down.text != NULL)
        status = pgdbm__script_prepare(&down, &file->down, schema, err);
    pgdbm__script_free(&down);
    return status;
}

static void file_free(struct pgdbm__migration_file *file)
{
    struct pgdbm__migration_header header = {.requires = file->requires, .n_requires = file->n_requires};
    pgdbm__migration_header_free(&header);
    pgdbm__free(file->filename);
    pgdbm__free(file->version);
    pgdbm__free(file->owned_text);
    pgdbm__free(file->down_filename);
    pgdbm__free(file->owned_down);
    pgdbm__script_free(&file->script);
}

void pgdbm__migration_set_free(struct pgdbm__migration_set *set)
{
    for (size_t i = 0; i < set->n_files; i++)
        file_free(&set->files[i]);
    for (size_t i = 0; i < set->n_downs; i++) {
        pgdbm__free(set->downs[i].filename);
        pgdbm__free(set->downs[i].version);
        pgdbm__free(set->downs[i].owned_text);
    }
    pgdbm__free(set->files);
    pgdbm__free(set->downs);
    *set = (struct pgdbm__migration_set){0};
}
