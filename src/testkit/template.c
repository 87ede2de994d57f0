/* SPDX-License-Identifier: MIT */
/* Templates: databases that are only copied. One is made under the name of a throw-away database of this process, so that
 * it is dropped as such if that dies, and gets its own name last: what bears a template's name is complete. Nobody can
 * connect to it, so that copies are not refused. No state, any thread. */
#include "testkit/testdb.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"

#include <pgdbm/memory.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How old the note of a template's last use may be. */
#define NOTE_SECONDS 86400

static void compose_comment(const struct pgdbm__digest *digest, char comment[PGDBM__COMMENT_BYTES])
{
    char kind[128];
    struct pgdbm__owner self = pgdbm__owner_self();
    snprintf(kind, sizeof kind, "template set=%s used=%lld", digest->set, (long long)self.created);
    pgdbm__owner_comment(&self, kind, comment);
}

/* Sweeps drop templates that nobody has used for long. */
static void note_use(struct pgdbm__admin *admin, const char *name, const struct pgdbm__digest *digest,
                     const char *comment)
{
    const char *used = strstr(comment, " used=");
    char now[PGDBM__COMMENT_BYTES];
    if (used == NULL || strtoll(used + 6, NULL, 10) > (long long)time(NULL) - NOTE_SECONDS)
        return;
    compose_comment(digest, now);
    (void)pgdbm__admin_run(admin, NULL, "COMMENT ON DATABASE \"%s\" IS '%s'", name, now);
}

static pgdbm_status look(struct pgdbm__admin *admin, const char *name, const struct pgdbm__digest *digest, bool *there,
                         pgdbm_error *err)
{
    char *comment = NULL;
    pgdbm_status status = pgdbm_fetch_value_text(
        admin->session,
        "SELECT coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database WHERE datname = $1",
        pgdbm_args(name), &comment, err);
    *there = comment != NULL;
    if (*there)
        note_use(admin, name, digest, comment);
    pgdbm_free(comment);
    return status;
}

static pgdbm_status fill(struct pgdbm__making *making, const char *name, pgdbm_error *err)
{
    char *url = NULL;
    pgdbm_db *db = NULL;
    pgdbm_status status = pgdbm__testdb_open(making, name, &url, &db, err);
    if (status == PGDBM_OK)
        status = pgdbm__testdb_fill(db, making->options, err);
    pgdbm_close(db);
    pgdbm__free(url);
    return status;
}

/* Templates of earlier contents of the same set. Whatever fails here, a sweep repeats. */
static void drop_others(struct pgdbm__admin *admin, const char *name, const struct pgdbm__digest *digest)
{
    pgdbm_result *others = NULL;
    char like[96];
    snprintf(like, sizeof like, PGDBM__COMMENT_MARK "template set=%s ", digest->set);
    if (pgdbm_fetch_all(admin->session,
                        "SELECT datname FROM pg_database WHERE starts_with(datname, '" PGDBM__TEMPLATE_MARK
                        "') AND datname <> $1 AND starts_with(shobj_description(oid, 'pg_database'), $2)",
                        pgdbm_args(name, like), &others, NULL) != PGDBM_OK)
        return;
    for (size_t i = 0; i < pgdbm_result_rows(others); i++) {
        const char *other = NULL;
        if (pgdbm_get_text(others, i, 0, &other, NULL) == PGDBM_OK)
            (void)pgdbm__admin_drop(admin, other, NULL);
    }
    pgdbm_result_free(others);
}

/* Its last name is its last step. That another process was faster, through another database of the server, where the
 * advisory lock does not reach, is as good. */
static pgdbm_status finish(struct pgdbm__admin *admin, const char *made, const char *name,
                           const struct pgdbm__digest *digest, pgdbm_error *err)
{
    char comment[PGDBM__COMMENT_BYTES];
    bool there = false;
    compose_comment(digest, comment);
    pgdbm_status status = pgdbm__admin_run(admin, err, "ALTER DATABASE \"%s\" ALLOW_CONNECTIONS false", made);
    if (status == PGDBM_OK)
        status = pgdbm__admin_run(admin, err, "COMMENT ON DATABASE \"%s\" IS '%s'", made, comment);
    if (status == PGDBM_OK)
        status = pgdbm__admin_run(admin, err, "ALTER DATABASE \"%s\" RENAME TO \"%s\"", made, name);
    if (status != PGDBM_OK && look(admin, name, digest, &there, NULL) == PGDBM_OK && there)
        status = pgdbm__admin_drop(admin, made, err);
    return status;
}

/* `*same` is false when the files have changed meanwhile: then it is another template that is wanted. */
static pgdbm_status build(struct pgdbm__making *making, const char *role, const char *name,
                          const struct pgdbm__digest *digest, bool *same, pgdbm_error *err)
{
    struct pgdbm__digest now;
    char made[PGDBM__NAME_BYTES];
    bool expected = false, done = false;
    pgdbm_status status = pgdbm__testdb_make(making, NULL, made, &expected, err);
    if (status == PGDBM_OK)
        status = fill(making, made, err);
    if (status == PGDBM_OK)
        status = pgdbm__digest_options(making->options, role, &now, err);
    *same = status == PGDBM_OK && strcmp(now.content, digest->content) == 0;
    if (*same) {
        status = finish(&making->admin, made, name, digest, err);
        done = status == PGDBM_OK;
    }
    if (done)
        drop_others(&making->admin, name, digest);
    if (expected && (done || pgdbm__admin_drop(&making->admin, made, NULL) == PGDBM_OK))
        pgdbm__janitor_forget();
    return status;
}

static pgdbm_status await_turn(struct pgdbm__making *making, const char *name, pgdbm_error *err)
{
    pgdbm_status status = pgdbm__admin_lock(&making->admin, name, false, err);
    if (status == PGDBM_ERR_TIMEOUT) {
        pgdbm__fail(err, PGDBM_ERR_TIMEOUT, "another process has been making the template database %s for too long",
                    name);
        pgdbm__error_hint(err, "does a migration of its hang? pg_stat_activity shows; .timeout_ms is how long to wait");
    }
    return status;
}

pgdbm_status pgdbm__template_find(struct pgdbm__making *making, char name[PGDBM__NAME_BYTES], pgdbm_error *err)
{
    struct pgdbm__digest digest;
    char *role = NULL;
    bool there = false, same = true, locked = false;
    pgdbm_status status =
        pgdbm_fetch_value_text(making->admin.session, "SELECT current_user::text", pgdbm_no_args, &role, err);
    while (status == PGDBM_OK && !there) {
        status = pgdbm__digest_options(making->options, role, &digest, err);
        if (status != PGDBM_OK)
            break;
        snprintf(name, PGDBM__NAME_BYTES, PGDBM__TEMPLATE_MARK "%s", digest.content);
        status = look(&making->admin, name, &digest, &there, err);
        if (status != PGDBM_OK || there)
            break;
        if (!locked || !same) { /* and look again: somebody may have made it meanwhile */
            status = await_turn(making, name, err);
            locked = same = true;
            continue;
        }
        status = build(making, role, name, &digest, &same, err);
    }
    pgdbm_free(role);
    return status;
}
