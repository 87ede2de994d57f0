/* SPDX-License-Identifier: MIT */
/* Matching files with history, and what follows from it. No state, any thread. */
#include "migrate/plan.h"

#include "base/error.h"
#include "migrate/name.h"

#include <stdlib.h>
#include <string.h>

/* Numbers of more digits are moments, which nobody expects to follow each other. */
enum { DIGITS_THAT_FOLLOW = 6 };

const char *pgdbm_migration_state_name(pgdbm_migration_state state)
{
    static const char *const names[] = {
        [PGDBM_MIGRATION_APPLIED] = "applied",
        [PGDBM_MIGRATION_PENDING] = "pending",
        [PGDBM_MIGRATION_CHANGED] = "changed",
        [PGDBM_MIGRATION_MISSING] = "missing",
        [PGDBM_MIGRATION_REFORMATTED] = "reformatted",
        [PGDBM_MIGRATION_OUT_OF_ORDER] = "out of order",
        [PGDBM_MIGRATION_GAP] = "gap",
        [PGDBM_MIGRATION_FUTURE] = "future",
        [PGDBM_MIGRATION_PARTIAL] = "partial",
        [PGDBM_MIGRATION_REPEAT] = "repeat",
    };
    return (size_t)state < sizeof names / sizeof *names ? names[state] : "unknown";
}

const char *pgdbm_migration_skew_name(pgdbm_migration_skew skew)
{
    static const char *const names[] = {
        [PGDBM_SKEW_EQUAL] = "equal",
        [PGDBM_SKEW_BEHIND] = "behind",
        [PGDBM_SKEW_AHEAD] = "ahead",
        [PGDBM_SKEW_DIVERGED] = "diverged",
    };
    return (size_t)skew < sizeof names / sizeof *names ? names[skew] : "unknown";
}

/* The first of equal names is the one that counts. */
static struct pgdbm__history_row *find_row(const struct pgdbm__history_rows *rows, const char *filename)
{
    size_t low = 0;
    size_t high = rows->n_rows;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(rows->by_name[middle]->filename, filename) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < rows->n_rows && strcmp(rows->by_name[low]->filename, filename) == 0 ? rows->by_name[low] : NULL;
}

static pgdbm_migration_state state_of(const struct pgdbm__migration_file *file, const struct pgdbm__history_row *row)
{
    if (row == NULL)
        return file->repeatable ? PGDBM_MIGRATION_REPEAT : PGDBM_MIGRATION_PENDING;
    if (strcmp(row->checksum, file->checksum) == 0)
        return PGDBM_MIGRATION_APPLIED;
    if (file->repeatable)
        return PGDBM_MIGRATION_REPEAT;
    return row->semantic_checksum != NULL && strcmp(row->semantic_checksum, file->semantic_checksum) == 0
               ? PGDBM_MIGRATION_REFORMATTED
               : PGDBM_MIGRATION_CHANGED;
}

/* A row without a module name and without a file here is another module's. */
static bool is_ours(const struct pgdbm__history_row *row)
{
    return row->named || row->has_file;
}

const char *pgdbm__plan_head(const struct pgdbm__history_rows *rows)
{
    const char *head = "";
    for (size_t i = 0; i < rows->n_rows; i++)
        if (is_ours(&rows->rows[i]) &&
            (head[0] == '\0' || pgdbm__migration_version_compare(rows->rows[i].version, head) > 0))
            head = rows->rows[i].version;
    return head;
}

static const char *newest(const struct pgdbm__migration_set *set)
{
    return set->n_versioned > 0 ? set->files[set->n_versioned - 1].version : "";
}

/* The value of a number that must follow another; -1 of one with more digits. */
static long number_of(const char *version)
{
    size_t digits = strspn(version, "0123456789");
    return version[digits] == '\0' && digits > 0 && digits <= DIGITS_THAT_FOLLOW ? strtol(version, NULL, 10) : -1;
}

/* Whether numbers are left out before the file. The lowest number that is known at all follows none. */
static bool is_gap(const struct pgdbm__migration_set *set, size_t place, const struct pgdbm__history_rows *rows)
{
    long number = number_of(set->files[place].version);
    long before = -1;
    for (size_t i = place; i > 0 && before < 0; i--)
        if (number_of(set->files[i - 1].version) < number)
            before = number_of(set->files[i - 1].version);
    for (size_t i = 0; i < rows->n_rows; i++) {
        long applied = is_ours(&rows->rows[i]) ? number_of(rows->rows[i].version) : -1;
        if (applied < number && applied > before)
            before = applied;
    }
    return before >= 0 && before + 1 < number;
}

void pgdbm__plan_match(struct pgdbm__migration_set *set, struct pgdbm__history_rows *rows)
{
    for (size_t i = 0; i < set->n_files; i++) {
        struct pgdbm__migration_file *file = &set->files[i];
        struct pgdbm__history_row *row = find_row(rows, file->filename);
        file->applied = row;
        file->state = state_of(file, row);
        if (row != NULL)
            row->has_file = true;
    }
    const char *head = pgdbm__plan_head(rows);
    for (size_t i = 0; i < set->n_files; i++) {
        struct pgdbm__migration_file *file = &set->files[i];
        if (file->state != PGDBM_MIGRATION_PENDING)
            continue;
        if (pgdbm__migration_version_compare(file->version, head) < 0)
            file->state = PGDBM_MIGRATION_OUT_OF_ORDER;
        else if (is_gap(set, i, rows))
            file->state = PGDBM_MIGRATION_GAP;
    }
    for (size_t i = 0; i < rows->n_rows; i++) {
        struct pgdbm__history_row *row = &rows->rows[i];
        row->state = row->has_file || !row->named                                      ? PGDBM_MIGRATION_APPLIED
                     : pgdbm__migration_version_compare(row->version, newest(set)) > 0 ? PGDBM_MIGRATION_FUTURE
                                                                                       : PGDBM_MIGRATION_MISSING;
    }
}

bool pgdbm__plan_is_pending(pgdbm_migration_state state)
{
    return state == PGDBM_MIGRATION_PENDING || state == PGDBM_MIGRATION_OUT_OF_ORDER || state == PGDBM_MIGRATION_GAP ||
           state == PGDBM_MIGRATION_PARTIAL || state == PGDBM_MIGRATION_REPEAT;
}

bool pgdbm__plan_runs(const struct pgdbm__migration_file *file, const char *target)
{
    return pgdbm__plan_is_pending(file->state) &&
           (target == NULL || (!file->repeatable && pgdbm__migration_version_compare(file->version, target) <= 0));
}

struct pgdbm__migration_file *pgdbm__plan_next(struct pgdbm__migration_set *set, const char *target)
{
    for (size_t i = 0; i < set->n_files; i++)
        if (pgdbm__plan_runs(&set->files[i], target))
            return &set->files[i];
    return NULL;
}

size_t pgdbm__plan_count(const struct pgdbm__migration_set *set, const char *target)
{
    size_t count = 0;
    for (size_t i = 0; i < set->n_files; i++)
        count += pgdbm__plan_runs(&set->files[i], target) ? 1 : 0;
    return count;
}
