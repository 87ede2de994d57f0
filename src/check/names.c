/* SPDX-License-Identifier: MIT */
/* References whose worth is known only when all texts have been read: a bare name may be a temporary table that another
 * text makes, a schema that of an extension. Shared by all texts of a run; a mutex guards it. */
#include "check/text.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reference {
    char *schema;     /* NULL: a bare name */
    const char *kind; /* static: "function"; NULL: a table */
    char *table;
    const char *file;
    struct pgdbm__check_place place;
};

#define HERE_BYTES 4608 /* a path and a name */

struct file {
    struct file *next;
    char name[];
};

struct pgdbm__check_names {
    pthread_mutex_t mutex;
    struct pgdbm__check_set known;
    struct reference *references;
    size_t n_references, capacity;
    struct file *files; /* the names of files, which outlive their texts here; the last one first */
    bool no_memory;
};

struct pgdbm__check_names *pgdbm__check_names_create(void)
{
    struct pgdbm__check_names *names = calloc(1, sizeof *names);
    if (names != NULL && pthread_mutex_init(&names->mutex, NULL) != 0) {
        free(names);
        return NULL;
    }
    return names;
}

void pgdbm__check_names_free(struct pgdbm__check_names *names)
{
    if (names == NULL)
        return;
    for (size_t i = 0; i < names->n_references; i++) {
        free(names->references[i].schema);
        free(names->references[i].table);
    }
    free(names->references);
    for (struct file *file = names->files, *next; file != NULL; file = next) {
        next = file->next;
        free(file);
    }
    pgdbm__check_set_free(&names->known);
    pthread_mutex_destroy(&names->mutex);
    free(names);
}

static const char *keep_file(struct pgdbm__check_names *names, const char *name)
{
    if (names->files == NULL || strcmp(names->files->name, name) != 0) {
        size_t bytes = strlen(name) + 1;
        struct file *file = malloc(sizeof *file + bytes);
        if (file == NULL)
            return NULL;
        memcpy(file->name, name, bytes);
        file->next = names->files;
        names->files = file;
    }
    return names->files->name;
}

static bool keep(struct pgdbm__check_names *names, const char *file, const char *schema, const char *kind,
                 const char *table, struct pgdbm__check_place place)
{
    if (names->n_references == names->capacity) {
        size_t capacity = names->capacity > 0 ? names->capacity * 2 : 64;
        struct reference *references = realloc(names->references, capacity * sizeof *references);
        if (references == NULL)
            return false;
        names->references = references;
        names->capacity = capacity;
    }
    struct reference reference = {.kind = kind, .table = strdup(table), .file = keep_file(names, file), .place = place};
    reference.schema = schema != NULL ? strdup(schema) : NULL;
    if (reference.table == NULL || reference.file == NULL || (schema != NULL && reference.schema == NULL)) {
        free(reference.table);
        free(reference.schema);
        return false;
    }
    names->references[names->n_references++] = reference;
    return true;
}

static void add(struct pgdbm__check_text *text, const char *schema, const char *kind, const char *table, size_t offset)
{
    struct pgdbm__check_names *names = text->names;
    struct pgdbm__check_place place = pgdbm__check_place_of(text, offset);
    pthread_mutex_lock(&names->mutex);
    if (!keep(names, text->sql->file, schema, kind, table, place))
        names->no_memory = true;
    pthread_mutex_unlock(&names->mutex);
}

void pgdbm__check_names_bare(struct pgdbm__check_text *text, const char *table, size_t offset)
{
    add(text, NULL, NULL, table, offset);
}

void pgdbm__check_names_qualified(struct pgdbm__check_text *text, const char *schema, const char *table, size_t offset)
{
    add(text, schema, NULL, table, offset);
}

/* "function name"; what is too long for it is cut. */
static const char *of_kind(char out[2 * PGDBM__CHECK_NAME_BYTES], const char *kind, const char *name)
{
    snprintf(out, (size_t)2 * PGDBM__CHECK_NAME_BYTES, "%s %s", kind, name);
    return out;
}

void pgdbm__check_names_object(struct pgdbm__check_text *text, const char *schema, const char *kind, const char *name,
                               size_t offset, bool definition)
{
    char joined[2 * PGDBM__CHECK_NAME_BYTES];
    if (definition && strcmp(schema, "public") == 0)
        pgdbm__check_names_know(text, KNOWN_IN_PUBLIC, of_kind(joined, kind, name));
    add(text, schema, kind, name, offset);
}

/* "file\ntable"; what is too long for it is cut. */
static const char *here(char out[HERE_BYTES], const char *file, const char *table)
{
    snprintf(out, HERE_BYTES, "%s\n%s", file, table);
    return out;
}

static bool know_templated(struct pgdbm__check_text *text, const char *table, const char *in_file, size_t offset)
{
    struct pgdbm__check_names *names = text->names;
    const char *file = keep_file(names, text->sql->file);
    struct pgdbm__check_place place = pgdbm__check_place_of(text, offset);
    return file != NULL && pgdbm__check_set_add(&names->known, KNOWN_TEMPLATED_HERE, in_file, file, place) &&
           pgdbm__check_set_add(&names->known, KNOWN_TEMPLATED, table, file, place);
}

void pgdbm__check_names_templated(struct pgdbm__check_text *text, const char *table, size_t offset)
{
    struct pgdbm__check_names *names = text->names;
    char in_file[HERE_BYTES];
    here(in_file, text->sql->file, table);
    pthread_mutex_lock(&names->mutex);
    if (pgdbm__check_set_find(&names->known, KNOWN_TEMPLATED_HERE, in_file) == NULL &&
        !know_templated(text, table, in_file, offset))
        names->no_memory = true;
    pthread_mutex_unlock(&names->mutex);
}

void pgdbm__check_names_know(struct pgdbm__check_text *text, enum pgdbm__check_kind kind, const char *name)
{
    struct pgdbm__check_names *names = text->names;
    pthread_mutex_lock(&names->mutex);
    if (!pgdbm__check_set_add(&names->known, kind, name, NULL, (struct pgdbm__check_place){0}))
        names->no_memory = true;
    pthread_mutex_unlock(&names->mutex);
}

/* What extensions bring is most often in public, and which extension brings what is nobody's knowledge here. */
static bool is_extensions(struct pgdbm__check_names *names, const struct reference *reference)
{
    char joined[2 * PGDBM__CHECK_NAME_BYTES];
    return reference->kind != NULL && strcmp(reference->schema, "public") == 0 &&
           pgdbm__check_set_find(&names->known, KNOWN_IN_PUBLIC, of_kind(joined, reference->kind, reference->table)) ==
               NULL;
}

static bool report_schema(struct pgdbm__check_names *names, struct pgdbm__check_run *run,
                          const struct reference *reference)
{
    if (pgdbm__check_set_find(&names->known, KNOWN_EXTENSION_SCHEMA, reference->schema) != NULL ||
        is_extensions(names, reference))
        return true;
    if (reference->kind != NULL)
        return pgdbm__check_add(run, &pgdbm__check_rule_hard_coded_schema, reference->file, reference->place,
                                "the schema %s is written into the statement, for the %s %s: write {{schema}}.%s",
                                reference->schema, reference->kind, reference->table, reference->table);
    return pgdbm__check_add(run, &pgdbm__check_rule_hard_coded_schema, reference->file, reference->place,
                            "the schema %s is written into the statement%s%s", reference->schema,
                            reference->table[0] != '\0' ? ", for " : "", reference->table);
}

static bool report(struct pgdbm__check_names *names, struct pgdbm__check_run *run, const struct reference *reference)
{
    const char *table = reference->table;
    char in_file[HERE_BYTES];
    const struct pgdbm__check_name *templated =
        pgdbm__check_set_find(&names->known, KNOWN_TEMPLATED_HERE, here(in_file, reference->file, table));
    if (templated == NULL)
        templated = pgdbm__check_set_find(&names->known, KNOWN_TEMPLATED, table);
    if (reference->schema != NULL)
        return report_schema(names, run, reference);
    if (pgdbm__check_set_find(&names->known, KNOWN_TEMPORARY, table) != NULL)
        return true;
    if (templated != NULL)
        return pgdbm__check_add(run, &pgdbm__check_rule_mixed_reference, reference->file, reference->place,
                                "%s has no template here, and is {{tables.%s}} in %s:%zu:%zu", table, table,
                                templated->file, templated->place.line, templated->place.column);
    return pgdbm__check_add(run, &pgdbm__check_rule_bare_table, reference->file, reference->place,
                            "%s has no template: write {{tables.%s}}", table, table);
}

bool pgdbm__check_names_report(struct pgdbm__check_names *names, struct pgdbm__check_run *run)
{
    pthread_mutex_lock(&names->mutex);
    bool good = !names->no_memory;
    for (size_t i = 0; good && i < names->n_references; i++)
        good = report(names, run, &names->references[i]);
    for (size_t i = 0; i < names->n_references; i++) {
        free(names->references[i].schema);
        free(names->references[i].table);
    }
    names->n_references = 0;
    pthread_mutex_unlock(&names->mutex);
    return good;
}
