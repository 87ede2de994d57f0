/* SPDX-License-Identifier: MIT */
/* Who has another structure than the others, and what it is. All is read in one read-only transaction, so that a roll-out under
 * way is no drift between the two looks, on a session that is closed afterwards, because the definitions of many tables stay in
 * the server process's caches. A report owns its results; its texts are borrowed from them. Any thread. */
#include "fleet/drift.h"

#include "base/alloc.h"
#include "base/error.h"

#include <string.h>

static const char what[] = "looking for drift";
static const pgdbm_call patient = {.timeout_ms = -1};

struct report {
    pgdbm_drift_report shown; /* first: it is what the caller has */
    char *fingerprint;
    pgdbm_result *schemas;   /* schema, fingerprint, how many share it */
    pgdbm_result *reference; /* its objects; NULL: not needed, or there is no such schema */
    pgdbm_result **objects;  /* of those that differ */
    size_t n_objects;
    const char **drifted;
    size_t capacity; /* of shown.drifts */
};

/* The columns of the second query. */
enum { OBJECT, PART_OF, DEFINITION };

void pgdbm_drift_report_free(pgdbm_drift_report *shown)
{
    struct report *report = (struct report *)shown;
    if (report == NULL)
        return;
    for (size_t i = 0; i < report->n_objects; i++)
        pgdbm_result_free(report->objects[i]);
    pgdbm__free(report->objects);
    pgdbm__free(report->drifted);
    pgdbm__free(shown->drifts);
    pgdbm_result_free(report->reference);
    pgdbm_result_free(report->schemas);
    pgdbm__free(report->fingerprint);
    pgdbm__free(report);
}

/* A text of a result that was checked when it came; NULL for NULL. */
static const char *text_at(const pgdbm_result *result, size_t row, size_t column)
{
    const char *text = NULL;
    return pgdbm_get_text(result, row, column, &text, NULL) == PGDBM_OK ? text : NULL;
}

static pgdbm_status begin(pgdbm_db *session, pgdbm_error *err)
{
    /* The catalog is read as a whole: hash joins and sums by hash, with memory, whatever the statistics say (after ten thousand
     * schemas were made in a minute they say that there are none), and nothing compiled. */
    return pgdbm_execute_simple_with(
        session, &patient,
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = '';"
        " SET LOCAL statement_timeout = 0; SET LOCAL work_mem = '64MB';"
        " SET LOCAL enable_nestloop = off; SET LOCAL enable_sort = off; SET LOCAL jit = off",
        err);
}

static pgdbm_status read_schemas(pgdbm_fleet *fleet, const pgdbm_drift_options *options, pgdbm_db *session,
                                 struct report *report, pgdbm_error *err)
{
    struct pgdbm__buffer sql = {0};
    pgdbm__drift_append_fingerprints(fleet, options->reference, &sql);
    pgdbm_status status = sql.failed
                              ? pgdbm__fail_nomem(err, what)
                              : pgdbm_fetch_all_with(session, &patient, sql.data, pgdbm_no_args, &report->schemas, err);
    pgdbm__buffer_free(&sql);
    return status;
}

/* What is right: what `reference` has, what was given, or what most have (of two, the one that comes first). */
static pgdbm_status choose(const pgdbm_drift_options *options, struct report *report, pgdbm_error *err)
{
    const char *chosen = options->fingerprint;
    int64_t most = 0;
    for (size_t i = 0; i < pgdbm_result_rows(report->schemas); i++) {
        const char *schema = text_at(report->schemas, i, 0);
        int64_t count = 0;
        pgdbm_status status = pgdbm_get_int64(report->schemas, i, 2, &count, err);
        if (status != PGDBM_OK)
            return status;
        if (options->reference != NULL ? strcmp(schema, options->reference) == 0
                                       : options->fingerprint == NULL && count > most) {
            chosen = text_at(report->schemas, i, 1);
            most = count;
        }
    }
    if (chosen == NULL && options->reference != NULL)
        return pgdbm__fail(err, PGDBM_ERR_SCHEMA, "there is no schema %s to compare the others with",
                           options->reference);
    report->fingerprint = pgdbm__strdup(chosen != NULL ? chosen : "");
    report->shown.fingerprint = report->fingerprint;
    return report->fingerprint != NULL ? PGDBM_OK : pgdbm__fail_nomem(err, what);
}

static pgdbm_status read_objects(pgdbm_fleet *fleet, const char *schema, pgdbm_db *session, pgdbm_result **objects,
                                 pgdbm_error *err)
{
    struct pgdbm__buffer sql = {0};
    struct pgdbm__buffer progress = {0};
    struct pgdbm__buffer sequence = {0};
    pgdbm__drift_append_objects(&sql);
    pgdbm__buffer_format(&progress, "%s_progress", fleet->table);
    pgdbm__buffer_format(&sequence, "%s_id_seq", fleet->table);
    const char *const left_out[] = {fleet->table, progress.data, sequence.data};
    pgdbm_status status = sql.failed || progress.failed || sequence.failed ? pgdbm__fail_nomem(err, what) : PGDBM_OK;
    if (status == PGDBM_OK)
        status = pgdbm_execute(session, "SELECT pg_catalog.set_config('search_path', pg_catalog.quote_ident($1), true)",
                               pgdbm_args(schema), NULL, err);
    if (status == PGDBM_OK)
        status = pgdbm_fetch_all_with(session, &patient, sql.data, pgdbm_args(schema, pgdbm_texts(left_out, 3)),
                                      objects, err);
    pgdbm__buffer_free(&sql);
    pgdbm__buffer_free(&progress);
    pgdbm__buffer_free(&sequence);
    return status;
}

/* Comparing. */

static bool has_object(const pgdbm_result *objects, const char *object)
{
    size_t low = 0;
    size_t high = pgdbm_result_rows(objects);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(text_at(objects, middle, OBJECT), object);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* Of what one has and the other has not, only the whole is told: a table, not its columns. */
static bool goes_with_its_whole(const pgdbm_result *here, size_t row, const pgdbm_result *there)
{
    const char *whole = text_at(here, row, PART_OF);
    return whole != NULL && !has_object(there, whole);
}

static pgdbm_status add(struct report *report, const pgdbm_drift *drift, pgdbm_error *err)
{
    if (report->shown.n_drifts == report->capacity) {
        size_t capacity = report->capacity == 0 ? 16 : 2 * report->capacity;
        pgdbm_drift *larger = pgdbm__realloc(report->shown.drifts, capacity * sizeof *larger);
        if (larger == NULL)
            return pgdbm__fail_nomem(err, what);
        report->shown.drifts = larger;
        report->capacity = capacity;
    }
    report->shown.drifts[report->shown.n_drifts++] = *drift;
    return PGDBM_OK;
}

/* Both are in order, so that one walk through both finds everything. */
static pgdbm_status compare(struct report *report, const char *schema, const pgdbm_result *found, pgdbm_error *err)
{
    const pgdbm_result *expected = report->reference;
    pgdbm_status status = PGDBM_OK;
    size_t left = 0;
    size_t right = 0;
    while (status == PGDBM_OK && (left < pgdbm_result_rows(expected) || right < pgdbm_result_rows(found))) {
        const char *a = left < pgdbm_result_rows(expected) ? text_at(expected, left, OBJECT) : NULL;
        const char *b = right < pgdbm_result_rows(found) ? text_at(found, right, OBJECT) : NULL;
        int order = a == NULL ? 1 : b == NULL ? -1 : strcmp(a, b);
        const char *a_definition = order <= 0 ? text_at(expected, left, DEFINITION) : NULL;
        const char *b_definition = order >= 0 ? text_at(found, right, DEFINITION) : NULL;
        pgdbm_drift drift = {schema, PGDBM_DRIFT_DIFFERS, order <= 0 ? a : b, a_definition, b_definition};
        bool told =
            order == 0 ? strcmp(a_definition != NULL ? a_definition : "", b_definition != NULL ? b_definition : "") != 0
            : order < 0 ? !goes_with_its_whole(expected, left, found)
                        : !goes_with_its_whole(found, right, expected);
        drift.kind = order == 0 ? PGDBM_DRIFT_DIFFERS : order < 0 ? PGDBM_DRIFT_LACKS : PGDBM_DRIFT_BEYOND;
        if (told)
            status = add(report, &drift, err);
        left += order <= 0;
        right += order >= 0;
    }
    return status;
}

/* One that has another fingerprint. What no definition shows (a column that was dropped and made again) is no drift. */
static pgdbm_status look_closer(pgdbm_fleet *fleet, const char *schema, pgdbm_db *session, struct report *report,
                                pgdbm_error *err)
{
    pgdbm_result *found = NULL;
    size_t n_before = report->shown.n_drifts;
    pgdbm_status status = PGDBM_OK;
    if (report->reference != NULL) {
        status = read_objects(fleet, schema, session, &found, err);
        if (status == PGDBM_OK)
            status = compare(report, schema, found, err);
    }
    if (report->reference == NULL || report->shown.n_drifts > n_before)
        report->drifted[report->shown.n_drifted++] = schema;
    else
        report->shown.n_alike++;
    report->objects[report->n_objects++] = found;
    return status;
}

/* The schema that the others are compared with: the one that was named, or the first that has the fingerprint. */
static const char *reference_of(const pgdbm_drift_options *options, const struct report *report)
{
    const char *reference = options->reference;
    for (size_t i = 0; reference == NULL && i < pgdbm_result_rows(report->schemas); i++)
        if (strcmp(text_at(report->schemas, i, 1), report->fingerprint) == 0)
            reference = text_at(report->schemas, i, 0);
    return reference;
}

static pgdbm_status compare_all(pgdbm_fleet *fleet, const pgdbm_drift_options *options, pgdbm_db *session,
                                struct report *report, pgdbm_error *err)
{
    size_t n_rows = pgdbm_result_rows(report->schemas);
    const char *reference = reference_of(options, report);
    /* Of one schema at a time indexes find what there is. */
    pgdbm_status status =
        pgdbm_execute_simple(session, "SET LOCAL enable_nestloop = on; SET LOCAL enable_sort = on", err);
    if (status != PGDBM_OK)
        return status;
    report->objects = pgdbm__alloc_zero(n_rows, sizeof(pgdbm_result *));
    report->drifted = pgdbm__alloc_zero(n_rows, sizeof(const char *));
    if (report->objects == NULL || report->drifted == NULL)
        return pgdbm__fail_nomem(err, what);
    report->shown.drifted = report->drifted;
    report->shown.n_schemas = n_rows;
    for (size_t i = 0; status == PGDBM_OK && i < n_rows; i++) {
        if (strcmp(text_at(report->schemas, i, 1), report->fingerprint) == 0) {
            report->shown.n_alike++;
            continue;
        }
        if (reference != NULL && report->reference == NULL && !options->fingerprints_only)
            status = read_objects(fleet, reference, session, &report->reference, err);
        if (status == PGDBM_OK)
            status = look_closer(fleet, text_at(report->schemas, i, 0), session, report, err);
    }
    return status;
}

static pgdbm_status check_options(const pgdbm_drift_options *options, pgdbm_error *err)
{
    if (options->reference != NULL && options->fingerprint != NULL) {
        pgdbm__fail(err, PGDBM_ERR_CONFIG, "a drift report was given a reference and a fingerprint");
        pgdbm__error_hint(err, "give .reference, .fingerprint, or neither: then what most have is right");
        return PGDBM_ERR_CONFIG;
    }
    return PGDBM_OK;
}

pgdbm_status pgdbm_fleet_drift_sized(pgdbm_fleet *fleet, const pgdbm_drift_options *options, size_t options_bytes,
                                     pgdbm_drift_report **report, pgdbm_error *err)
{
    pgdbm_drift_options own = {0};
    pgdbm_db *session = NULL;
    if (report != NULL)
        *report = NULL;
    if (fleet == NULL || report == NULL)
        return pgdbm__fail_null(err, "pgdbm_fleet_drift", fleet == NULL ? "fleet" : "report");
    if (options != NULL)
        memcpy(&own, options, options_bytes < sizeof own ? options_bytes : sizeof own);
    pgdbm_status status = check_options(&own, err);
    if (status != PGDBM_OK)
        return status;
    struct report *made = pgdbm__alloc_zero(1, sizeof *made);
    if (made == NULL)
        return pgdbm__fail_nomem(err, what);
    status = pgdbm_pin(fleet->db, &session, err);
    if (status == PGDBM_OK)
        status = begin(session, err);
    if (status == PGDBM_OK)
        status = read_schemas(fleet, &own, session, made, err);
    if (status == PGDBM_OK)
        status = choose(&own, made, err);
    if (status == PGDBM_OK)
        status = compare_all(fleet, &own, session, made, err);
    if (session != NULL)
        (void)pgdbm_retire(session, NULL);
    pgdbm_close(session);
    if (status == PGDBM_OK)
        *report = &made->shown;
    else
        pgdbm_drift_report_free(&made->shown);
    return status;
}
