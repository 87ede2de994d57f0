/* SPDX-License-Identifier: MIT */
/* Texts made of binary values, in a hash table by row and column. A result looks unchanging from outside, and may be read by
 * several threads: one of a few locks, shared by address, guards its texts, because nearly no result ever needs one. */
#include "result/text.h"

#include "base/alloc.h"
#include "base/error.h"

#include <pthread.h>
#include <string.h>

#define FIRST_BUCKETS 16

struct pgdbm__made_text {
    struct pgdbm__made_text *next;
    size_t row, column;
    char text[];
};

#define LOCK_ROW                                                                                                       \
    PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER
static pthread_mutex_t locks[] = {LOCK_ROW, LOCK_ROW};

static pthread_mutex_t *lock_of(const pgdbm_result *result)
{
    return &locks[((uintptr_t)result >> 6) % (sizeof locks / sizeof *locks)];
}

static size_t bucket_of(const struct pgdbm__made_texts *texts, size_t row, size_t column)
{
    return (row * 31 + column) % texts->n_buckets;
}

static struct pgdbm__made_text *look(const struct pgdbm__made_texts *texts, size_t row, size_t column)
{
    struct pgdbm__made_text *made = texts->n_buckets > 0 ? texts->buckets[bucket_of(texts, row, column)] : NULL;
    while (made != NULL && (made->row != row || made->column != column))
        made = made->next;
    return made;
}

static bool grow(struct pgdbm__made_texts *texts)
{
    struct pgdbm__made_texts grown = {.n_buckets = texts->n_buckets > 0 ? texts->n_buckets * 2 : FIRST_BUCKETS,
                                      .count = texts->count};
    grown.buckets = pgdbm__alloc_zero(grown.n_buckets, sizeof(struct pgdbm__made_text *));
    if (grown.buckets == NULL)
        return texts->n_buckets > 0; /* longer chains will do */
    for (size_t i = 0; i < texts->n_buckets; i++)
        for (struct pgdbm__made_text *made = texts->buckets[i], *next; made != NULL; made = next) {
            size_t bucket = bucket_of(&grown, made->row, made->column);
            next = made->next;
            made->next = grown.buckets[bucket];
            grown.buckets[bucket] = made;
        }
    pgdbm__free(texts->buckets);
    *texts = grown;
    return true;
}

static struct pgdbm__made_text *add(struct pgdbm__made_texts *texts, size_t row, size_t column, const char *text,
                                    size_t bytes)
{
    if (texts->count >= texts->n_buckets && !grow(texts))
        return NULL;
    struct pgdbm__made_text *made = pgdbm__alloc(sizeof *made + bytes + 1);
    if (made == NULL)
        return NULL;
    made->row = row;
    made->column = column;
    if (bytes > 0)
        memcpy(made->text, text, bytes);
    made->text[bytes] = '\0';
    size_t bucket = bucket_of(texts, row, column);
    made->next = texts->buckets[bucket];
    texts->buckets[bucket] = made;
    texts->count++;
    return made;
}

pgdbm_status pgdbm__text_make(const pgdbm_result *result, size_t row, size_t column, const struct pgdbm__value *value,
                              const char **text, pgdbm_error *err)
{
    const struct pgdbm__type *type = pgdbm__type_base(value->column->info);
    struct pgdbm__made_texts *texts = (struct pgdbm__made_texts *)&result->made_texts;
    struct pgdbm__buffer printed = {0};
    bool sound = true;
    pthread_mutex_lock(lock_of(result));
    struct pgdbm__made_text *made = look(texts, row, column);
    if (made == NULL) {
        sound = type->print != NULL && type->print(type, value->data, (size_t)value->length, &printed);
        if (sound && !printed.failed)
            made = add(texts, row, column, printed.data, printed.length);
    }
    pthread_mutex_unlock(lock_of(result));
    pgdbm__buffer_free(&printed);
    if (!sound)
        return pgdbm__value_refuse(value, "text", pgdbm__value_malformed(result), err);
    if (made == NULL)
        return pgdbm__fail_nomem(err, "printing a value");
    *text = made->text;
    return PGDBM_OK;
}

void pgdbm__texts_clear(pgdbm_result *result)
{
    struct pgdbm__made_texts *texts = &result->made_texts;
    for (size_t i = 0; texts->count > 0 && i < texts->n_buckets; i++)
        while (texts->buckets[i] != NULL) {
            struct pgdbm__made_text *made = texts->buckets[i];
            texts->buckets[i] = made->next;
            pgdbm__free(made);
            texts->count--;
        }
    pgdbm__free(texts->buckets);
    *texts = (struct pgdbm__made_texts){0};
}
