/* SPDX-License-Identifier: MIT */
/* Copying parameters with all that they point to, for requests that outlive the call. First everything is measured, then
 * copied into one run of memory. */
#include "types/composed.h"

#include <string.h>

/* More is refused before sizes could overflow. */
#define COPY_LIMIT (SIZE_MAX / 8)

/* How much lies directly behind the parameter's pointer. */
static size_t direct_bytes(const pgdbm_param *param)
{
    static const size_t sizes[] = {
        [PGDBM_PARAM_TIMESTAMP] = sizeof(pgdbm_timestamp),
        [PGDBM_PARAM_DATE] = sizeof(pgdbm_date),
        [PGDBM_PARAM_TIME] = sizeof(pgdbm_time),
        [PGDBM_PARAM_TIMETZ] = sizeof(pgdbm_timetz),
        [PGDBM_PARAM_INTERVAL] = sizeof(pgdbm_interval),
        [PGDBM_PARAM_DECIMAL] = sizeof(pgdbm_decimal),
        [PGDBM_PARAM_UUID] = sizeof(pgdbm_uuid),
        [PGDBM_PARAM_INET] = sizeof(pgdbm_inet),
        [PGDBM_PARAM_MACADDR] = sizeof(pgdbm_macaddr),
        [PGDBM_PARAM_BITS] = sizeof(pgdbm_bits),
        [PGDBM_PARAM_RANGE] = sizeof(pgdbm_range),
        [PGDBM_PARAM_ARRAY] = sizeof(pgdbm_param),
        [PGDBM_PARAM_ROW] = sizeof(pgdbm_param),
        [PGDBM_PARAM_INT32S] = sizeof(int32_t),
        [PGDBM_PARAM_INT64S] = sizeof(int64_t),
        [PGDBM_PARAM_DOUBLES] = sizeof(double),
        [PGDBM_PARAM_BOOLS] = sizeof(bool),
        [PGDBM_PARAM_TEXTS] = sizeof(const char *),
    };
    if (param->kind == PGDBM_PARAM_TEXT)
        return param->bytes == PGDBM_TERMINATED ? strlen(param->value.text) + 1 : param->bytes;
    if (param->kind == PGDBM_PARAM_BYTES)
        return param->bytes;
    if ((size_t)param->kind >= sizeof sizes / sizeof *sizes || sizes[param->kind] == 0)
        return 0;
    return param->bytes <= COPY_LIMIT / sizes[param->kind] ? param->bytes * sizes[param->kind] : SIZE_MAX;
}

/* The parameters inside of one, counted from 0; NULL when there are no more. */
static const pgdbm_param *inner(const pgdbm_param *param, size_t number)
{
    if (param->kind == PGDBM_PARAM_ARRAY || param->kind == PGDBM_PARAM_ROW)
        return number < param->bytes ? &param->value.values[number] : NULL;
    if (param->kind == PGDBM_PARAM_RANGE && number < 2) {
        const pgdbm_range *range = param->value.data;
        return number == 0 ? &range->lower : &range->upper;
    }
    return NULL;
}

/* The texts and bits inside of one. */
static const char *const *texts_of(const pgdbm_param *param, size_t *count)
{
    *count = param->kind == PGDBM_PARAM_TEXTS ? param->bytes : 0;
    return param->value.data;
}

static size_t bits_bytes(const pgdbm_bits *bits)
{
    return bits->count / 8 + (bits->count % 8 != 0);
}

static size_t rounded(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

static bool add(size_t *sum, size_t bytes)
{
    if (bytes > COPY_LIMIT || *sum > COPY_LIMIT)
        return false;
    *sum += rounded(bytes);
    return true;
}

size_t pgdbm__param_copy_bytes(const pgdbm_param *param)
{
    size_t sum = 0;
    size_t n_texts;
    const pgdbm_param *part;
    bool sound = add(&sum, direct_bytes(param));
    for (size_t i = 0; sound && (part = inner(param, i)) != NULL; i++)
        sound = add(&sum, pgdbm__param_copy_bytes(part));
    const char *const *texts = texts_of(param, &n_texts);
    for (size_t i = 0; sound && i < n_texts; i++)
        sound = add(&sum, texts[i] != NULL ? strlen(texts[i]) + 1 : 0);
    if (sound && param->kind == PGDBM_PARAM_BITS)
        sound = add(&sum, bits_bytes(param->value.data));
    if (sound && param->kind == PGDBM_PARAM_RANGE && ((const pgdbm_range *)param->value.data)->bounds != NULL)
        sound = add(&sum, strlen(((const pgdbm_range *)param->value.data)->bounds) + 1);
    return sound ? sum : SIZE_MAX;
}

static void *take(const void *data, size_t bytes, char **space)
{
    void *copy = *space;
    if (bytes > 0)
        memcpy(copy, data, bytes);
    *space += rounded(bytes);
    return copy;
}

void pgdbm__param_copy(pgdbm_param *param, char **space)
{
    size_t bytes = direct_bytes(param);
    size_t n_texts;
    if (bytes == 0 && param->kind < PGDBM_PARAM_TEXT)
        return;
    void *copy = take(param->value.data, bytes, space); /* the members of the union are one pointer */
    param->value.data = copy;
    if (param->kind == PGDBM_PARAM_ARRAY || param->kind == PGDBM_PARAM_ROW)
        for (size_t i = 0; i < param->bytes; i++)
            pgdbm__param_copy(&((pgdbm_param *)copy)[i], space);
    const char **texts = copy;
    (void)texts_of(param, &n_texts);
    for (size_t i = 0; i < n_texts; i++)
        if (texts[i] != NULL)
            texts[i] = take(texts[i], strlen(texts[i]) + 1, space);
    if (param->kind == PGDBM_PARAM_BITS) {
        pgdbm_bits *bits = copy;
        bits->data = take(bits->data, bits_bytes(bits), space);
    } else if (param->kind == PGDBM_PARAM_RANGE) {
        pgdbm_range *range = copy;
        pgdbm__param_copy(&range->lower, space);
        pgdbm__param_copy(&range->upper, space);
        if (range->bounds != NULL)
            range->bounds = take(range->bounds, strlen(range->bounds) + 1, space);
    }
}
