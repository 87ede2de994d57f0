/* SPDX-License-Identifier: MIT */
/* Dropping what processes have left that are gone. What is dropped must bear a name of the kit's, and a comment of the
 * kit's or none. Owns a note of the servers that this process has swept. */
#include "testkit/testdb.h"

#include "base/alloc.h"
#include "base/error.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FOREIGN_AGE_S 86400
#define TEMPLATE_AGE_S 604800
#define TIMEOUT_MS 60000
#define LOCK "sweep"
#define MAX_SERVERS 16

static bool is_old(int64_t age, int limit)
{
    return limit >= 0 && age >= limit;
}

/* "3 h", for people. */
static const char *print_age(int64_t seconds, char text[32])
{
    if (seconds < 120)
        snprintf(text, 32, "%lld s", (long long)seconds);
    else if (seconds < 7200)
        snprintf(text, 32, "%lld min", (long long)seconds / 60);
    else if (seconds < 172800)
        snprintf(text, 32, "%lld h", (long long)seconds / 3600);
    else
        snprintf(text, 32, "%lld days", (long long)seconds / 86400);
    return text;
}

static void decide_template(const pgdbm_sweep_options *options, const char *comment, pgdbm_swept_database *database)
{
    char age[32];
    const char *digest = database->name + sizeof PGDBM__TEMPLATE_MARK - 1;
    const char *used = comment != NULL ? strstr(comment, " used=") : NULL;
    if (strlen(digest) != 40 || strspn(digest, "0123456789abcdef") != 40)
        snprintf(database->reason, sizeof database->reason, "its name is none that the test kit gives");
    else if (used == NULL || strncmp(comment, PGDBM__COMMENT_MARK "template ", sizeof PGDBM__COMMENT_MARK + 8) != 0)
        snprintf(database->reason, sizeof database->reason, "its comment is not the test kit's");
    else {
        int64_t seconds = (int64_t)time(NULL) - strtoll(used + 6, NULL, 10);
        snprintf(database->reason, sizeof database->reason, "a template, last used %s ago",
                 print_age(seconds > 0 ? seconds : 0, age));
        if (is_old(seconds, options->template_age_s))
            database->what = PGDBM_SWEPT_DROPPED;
    }
}

/* A process elsewhere may live however old its database is: what is in use is not dropped. */
static void decide_test(const pgdbm_sweep_options *options, const char *comment, bool in_use,
                        pgdbm_swept_database *database)
{
    char age[32];
    struct pgdbm__owner owner;
    if (!pgdbm__owner_parse(database->name, &owner)) {
        snprintf(database->reason, sizeof database->reason, "its name is none that the test kit gives");
        return;
    }
    if (comment != NULL && strncmp(comment, PGDBM__COMMENT_MARK, sizeof PGDBM__COMMENT_MARK - 1) != 0) {
        snprintf(database->reason, sizeof database->reason, "its comment is not the test kit's");
        return;
    }
    enum pgdbm__owner_state state = pgdbm__owner_look(&owner);
    int64_t seconds = (int64_t)time(NULL) - owner.created;
    if (state == PGDBM__OWNER_LIVES)
        snprintf(database->reason, sizeof database->reason, "process %d lives", (int)owner.pid);
    else if (state == PGDBM__OWNER_GONE)
        snprintf(database->reason, sizeof database->reason, "process %d is gone", (int)owner.pid);
    else
        snprintf(database->reason, sizeof database->reason,
                 "made %s ago on another host, in another container, or before a restart%s",
                 print_age(seconds > 0 ? seconds : 0, age), in_use ? ", and somebody is connected to it" : "");
    if (state == PGDBM__OWNER_GONE ||
        (state == PGDBM__OWNER_ELSEWHERE && !in_use && is_old(seconds, options->foreign_age_s)))
        database->what = PGDBM_SWEPT_DROPPED;
}

/* Fails also when it is there no more, because a janitor was faster. */
static void drop(struct pgdbm__admin *admin, pgdbm_sweep_report *report, pgdbm_swept_database *database)
{
    pgdbm_error err = {0};
    bool there = true;
    if (pgdbm__admin_drop(admin, database->name, &err) != PGDBM_OK &&
        (pgdbm_fetch_value_bool(admin->session, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)",
                                pgdbm_args((const char *)database->name), &there, NULL) != PGDBM_OK ||
         there)) {
        database->what = PGDBM_SWEPT_FAILED;
        snprintf(database->reason, sizeof database->reason, "%.190s", err.message);
    }
    report->n_failed += database->what == PGDBM_SWEPT_FAILED;
}

static pgdbm_status sweep(struct pgdbm__admin *admin, const pgdbm_sweep_options *options, pgdbm_sweep_report *report,
                          pgdbm_error *err)
{
    pgdbm_result *found = NULL;
    pgdbm_status status =
        pgdbm_fetch_all(admin->session,
                        "SELECT datname::text, shobj_description(oid, 'pg_database'), EXISTS (SELECT FROM "
                        "pg_stat_activity WHERE datid ="
                        " pg_database.oid) FROM pg_database WHERE starts_with(datname, 'pgdbm_test_') OR "
                        "starts_with(datname, '" PGDBM__TEMPLATE_MARK "') ORDER BY 1",
                        pgdbm_no_args, &found, err);
    if (status == PGDBM_OK && pgdbm_result_rows(found) > 0) {
        report->databases = pgdbm__alloc_zero(pgdbm_result_rows(found), sizeof *report->databases);
        if (report->databases == NULL)
            status = pgdbm__fail_nomem(err, "sweeping a server");
    }
    for (size_t i = 0; status == PGDBM_OK && i < pgdbm_result_rows(found); i++) {
        const char *name = NULL, *comment = NULL;
        bool in_use = false;
        pgdbm_swept_database *database = &report->databases[report->n_databases++];
        status = pgdbm_get_text(found, i, 0, &name, err);
        if (status == PGDBM_OK)
            status = pgdbm_get_text(found, i, 1, &comment, err);
        if (status == PGDBM_OK)
            status = pgdbm_get_bool(found, i, 2, &in_use, err);
        if (status != PGDBM_OK)
            break;
        snprintf(database->name, sizeof database->name, "%s", name);
        if (strncmp(name, PGDBM__TEMPLATE_MARK, sizeof PGDBM__TEMPLATE_MARK - 1) == 0)
            decide_template(options, comment, database);
        else
            decide_test(options, comment, in_use, database);
        if (database->what == PGDBM_SWEPT_DROPPED && !options->dry_run)
            drop(admin, report, database);
        report->n_dropped += database->what == PGDBM_SWEPT_DROPPED;
    }
    pgdbm_result_free(found);
    return status;
}

static pgdbm_sweep_options complete(const pgdbm_sweep_options *options, size_t options_bytes)
{
    pgdbm_sweep_options chosen = {0};
    if (options != NULL)
        memcpy(&chosen, options, options_bytes < sizeof chosen ? options_bytes : sizeof chosen);
    if (chosen.foreign_age_s == 0)
        chosen.foreign_age_s = FOREIGN_AGE_S;
    if (chosen.template_age_s == 0)
        chosen.template_age_s = TEMPLATE_AGE_S;
    return chosen;
}

pgdbm_status pgdbm_testdb_sweep_sized(const char *url, const pgdbm_sweep_options *options, size_t options_bytes,
                                      pgdbm_sweep_report **report, pgdbm_error *err)
{
    struct pgdbm__address address = {0};
    struct pgdbm__admin admin = {0};
    const pgdbm_sweep_options chosen = complete(options, options_bytes);
    if (report != NULL)
        *report = NULL;
    pgdbm_sweep_report *made = pgdbm__alloc_zero(1, sizeof *made);
    if (made == NULL)
        return pgdbm__fail_nomem(err, "sweeping a server");
    pgdbm_status status = pgdbm__address_find(url, false, &address, err);
    if (status == PGDBM_OK)
        status = pgdbm__production_refuse_address(&address, chosen.even_if_production, err);
    if (status == PGDBM_OK)
        status = pgdbm__admin_open(address.url, TIMEOUT_MS, &admin, err);
    if (status == PGDBM_OK)
        status = pgdbm__production_refuse_server(&admin, chosen.even_if_production, err);
    if (status == PGDBM_OK)
        status = pgdbm__admin_lock(&admin, LOCK, false, err);
    if (status == PGDBM_OK)
        status = sweep(&admin, &chosen, made, err);
    pgdbm__admin_close(&admin);
    pgdbm__address_free(&address);
    if (status == PGDBM_OK && report != NULL)
        *report = made;
    else
        pgdbm_sweep_report_free(made);
    return status;
}

void pgdbm_sweep_report_free(pgdbm_sweep_report *report)
{
    if (report == NULL)
        return;
    pgdbm__free(report->databases);
    pgdbm__free(report);
}

/* Whether it is the first time that this process comes to that server. Two threads at once may both be told so. */
static bool is_first_time(const char *url)
{
    static _Atomic uint64_t known[MAX_SERVERS];
    uint64_t hash = UINT64_C(1469598103934665603);
    for (; *url != '\0'; url++)
        hash = (hash ^ (unsigned char)*url) * UINT64_C(1099511628211);
    bool first = atomic_load(&known[hash % MAX_SERVERS]) != hash;
    atomic_store(&known[hash % MAX_SERVERS], hash);
    return first;
}

void pgdbm__sweep_once(struct pgdbm__admin *admin, const char *url)
{
    bool got = false;
    pgdbm_sweep_report report = {0};
    const pgdbm_sweep_options options = complete(NULL, 0);
    if (!is_first_time(url) || pgdbm__admin_try_lock(admin, LOCK, &got, NULL) != PGDBM_OK || !got)
        return; /* another process is at it */
    (void)sweep(admin, &options, &report, NULL);
    pgdbm__admin_unlock(admin, LOCK);
    pgdbm__free(report.databases);
}
