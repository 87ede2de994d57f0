/* SPDX-License-Identifier: MIT */
/* Copying sets of parameters into one run of memory. */
#include "session/sets.h"

#include "base/alloc.h"
#include "session/session.h"
#include "types/param.h"

bool pgdbm__sets_measure(const pgdbm_params *sets, size_t n_sets, size_t *bytes)
{
    size_t sum = 0;
    for (size_t i = 0; i < n_sets; i++) {
        sum += sizeof *sets + sets[i].count * sizeof *sets[i].values;
        for (size_t j = 0; j < sets[i].count; j++) {
            size_t more = pgdbm__param_copy_bytes(&sets[i].values[j]);
            if (more > SIZE_MAX / 4 || sum > SIZE_MAX / 4)
                return false;
            sum += more;
        }
    }
    *bytes = sum;
    return true;
}

pgdbm_params *pgdbm__sets_copy(const pgdbm_params *sets, size_t n_sets, char *space)
{
    pgdbm_params *lists = (pgdbm_params *)(void *)space;
    pgdbm_param *values = (pgdbm_param *)(void *)(lists + n_sets);
    size_t n_values = 0;
    for (size_t i = 0; i < n_sets; i++)
        n_values += sets[i].count;
    space = (char *)(values + n_values);
    for (size_t i = 0; i < n_sets; i++) {
        lists[i] = (pgdbm_params){.count = sets[i].count, .values = values};
        for (size_t j = 0; j < sets[i].count; j++, values++) {
            *values = sets[i].values[j];
            pgdbm__param_copy(values, &space);
        }
    }
    return lists;
}

pgdbm_params *pgdbm__sets_duplicate(const pgdbm_params *sets, size_t n_sets)
{
    size_t bytes;
    char *space = pgdbm__sets_measure(sets, n_sets, &bytes) ? pgdbm__alloc(bytes) : NULL;
    return space != NULL ? pgdbm__sets_copy(sets, n_sets, space) : NULL;
}

/* Texts that end with NUL are measured when they are used. */
size_t pgdbm__params_too_large(const pgdbm_params *params)
{
    for (size_t i = 0; i < params->count; i++) {
        const pgdbm_param *param = &params->values[i];
        bool sized =
            param->kind == PGDBM_PARAM_BYTES || (param->kind == PGDBM_PARAM_TEXT && param->bytes != PGDBM_TERMINATED);
        if (sized && param->bytes > PGDBM__VALUE_BYTES)
            return i + 1;
    }
    return 0;
}
