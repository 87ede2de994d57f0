/* SPDX-License-Identifier: MIT */
/* The table; a test compares it with the public headers. */
#include "check/calls.h"

#include <stdlib.h>
#include <string.h>

/* By name. */
static const struct pgdbm__check_call calls[] = {
    {"pgdbm_batch_add", 1, false},
    {"pgdbm_copy_in", 1, false},
    {"pgdbm_copy_in_async", 1, false},
    {"pgdbm_copy_in_fd", 1, false},
    {"pgdbm_copy_out", 1, false},
    {"pgdbm_copy_out_async", 1, false},
    {"pgdbm_copy_out_fd", 1, false},
    {"pgdbm_cursor_open", 1, false},
    {"pgdbm_execute", 1, false},
    {"pgdbm_execute_async", 1, false},
    {"pgdbm_execute_many", 1, false},
    {"pgdbm_execute_many_async", 1, false},
    {"pgdbm_execute_many_with", 2, false},
    {"pgdbm_execute_simple", 1, false},
    {"pgdbm_execute_simple_with", 2, false},
    {"pgdbm_execute_with", 2, false},
    {"pgdbm_expand", 1, false},
    {"pgdbm_fetch_all", 1, false},
    {"pgdbm_fetch_all_with", 2, false},
    {"pgdbm_fetch_json", 1, false},
    {"pgdbm_fetch_one", 1, false},
    {"pgdbm_fetch_one_async", 1, false},
    {"pgdbm_fetch_one_with", 2, false},
    {"pgdbm_fetch_structs", 1, false},
    {"pgdbm_fetch_structs_with", 2, false},
    {"pgdbm_fetch_value", 1, false},
    {"pgdbm_fetch_value_bool", 1, false},
    {"pgdbm_fetch_value_bool_with", 2, false},
    {"pgdbm_fetch_value_double", 1, false},
    {"pgdbm_fetch_value_double_with", 2, false},
    {"pgdbm_fetch_value_int64", 1, false},
    {"pgdbm_fetch_value_int64_with", 2, false},
    {"pgdbm_fetch_value_text", 1, false},
    {"pgdbm_fetch_value_text_with", 2, false},
    {"pgdbm_insert_id", 1, false},
    {"pgdbm_insert_id_with", 2, false},
    {"pgdbm_rows_check", 1, true},
    {"pgdbm_rows_check_count", 1, true},
    {"pgdbm_rows_count", 1, true},
    {"pgdbm_rows_text", 1, true},
    {"pgdbm_snapshot_take", 1, true},
    {"pgdbm_stream", 1, false},
    {"pgdbm_stream_with", 2, false},
    {"pgdbm_submit", 1, false},
    {"pgdbm_submit_with", 2, false},
};

enum { N_CALLS = sizeof calls / sizeof calls[0] };

struct name {
    const char *text;
    size_t bytes;
};

static int compare(const void *key, const void *element)
{
    const struct name *name = key;
    const struct pgdbm__check_call *call = element;
    int order = strncmp(name->text, call->name, name->bytes);
    return order != 0 ? order : call->name[name->bytes] == '\0' ? 0 : -1;
}

const struct pgdbm__check_call *pgdbm__check_call_find(const char *name, size_t name_bytes)
{
    const struct name key = {name, name_bytes};
    return bsearch(&key, calls, N_CALLS, sizeof calls[0], compare);
}

const struct pgdbm__check_call *pgdbm__check_call_at(size_t n)
{
    return n < N_CALLS ? &calls[n] : NULL;
}
