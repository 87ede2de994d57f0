/* SPDX-License-Identifier: MIT */
/* Sweeping: what nobody owns any more is dropped, and nothing else. */
#include "testkit/people.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MARK "pgdbm testkit kind=test pid=1"
#define TEMPLATE_MARK "pgdbm testkit kind=template set=0123456789abcdef used="

/* The parts of a name of this process's. */
struct name {
    unsigned pid, host, created;
    unsigned long long start;
};

static struct name own_name(void)
{
    pgdbm_error err;
    struct name name = {0};
    pgdbm_testdb *testdb = NULL;
    const pgdbm_testdb_options options = {.server_url = test_server_url()};
    assert_ok(pgdbm_testdb_create(&options, &testdb, &err));
    assert_int_equal(sscanf(pgdbm_testdb_name(testdb), "pgdbm_test_%x_%llx_%x_%x_", &name.pid, &name.start, &name.host,
                            &name.created),
                     4);
    pgdbm_testdb_drop(testdb);
    return name;
}

static const char *compose(struct name name)
{
    static char texts[16][64];
    static unsigned number;
    char *text = texts[number++ % 16];
    snprintf(text, sizeof *texts, "pgdbm_test_%x_%llx_%08x_%08x_%08x", name.pid, name.start, name.host, name.created,
             number);
    return text;
}

static const char *make(const char *name, const char *comment)
{
    char sql[512];
    snprintf(sql, sizeof sql, "CREATE DATABASE \"%s\"", name);
    test_psql(test_server_url(), sql);
    if (comment != NULL) {
        snprintf(sql, sizeof sql, "COMMENT ON DATABASE \"%s\" IS '%s'", name, comment);
        test_psql(test_server_url(), sql);
    }
    return name;
}

static void forget(const char *name)
{
    char sql[512];
    snprintf(sql, sizeof sql, "DROP DATABASE IF EXISTS \"%s\"", name);
    test_psql(test_server_url(), sql);
}

static struct name dead(void)
{
    struct name name = own_name();
    name.start++; /* this number is another process's now */
    return name;
}

static const char *template_used(char digit, long long seconds_ago)
{
    static char texts[4][64];
    static unsigned number;
    char comment[128];
    char *text = texts[number++ % 4];
    char digits[41];
    memset(digits, digit, 40);
    digits[40] = '\0';
    snprintf(text, sizeof *texts, "pgdbm_template_%s", digits);
    snprintf(comment, sizeof comment, TEMPLATE_MARK "%lld pid=1", (long long)time(NULL) - seconds_ago);
    return make(text, comment);
}

static const pgdbm_swept_database *find(const pgdbm_sweep_report *report, const char *name)
{
    for (size_t i = 0; i < report->n_databases; i++)
        if (strcmp(report->databases[i].name, name) == 0)
            return &report->databases[i];
    fail_msg("%s is not in the report", name);
    return NULL;
}

static void expect(const pgdbm_sweep_report *report, const char *name, pgdbm_swept what, const char *reason, bool there)
{
    const pgdbm_swept_database *database = find(report, name);
    if (database->what != what)
        fail_msg("%s: expected %d, came %d: %s", name, (int)what, (int)database->what, database->reason);
    assert_contains(database->reason, reason);
    assert_int_equal(databases_like(name), there);
}

static void what_nobody_owns_is_dropped_and_nothing_else(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_sweep_report *report = NULL;
    struct name gone = dead();
    const struct name own = own_name(); /* before anything is made: creating may sweep */
    struct name foreign = own;
    foreign.host++;
    struct name old = foreign;
    old.created -= 2 * 86400;
    const char *const marked = make(compose(gone), MARK);
    const char *const unmarked = make(compose(gone), NULL); /* killed before COMMENT */
    const char *const elsewhere = make(compose(foreign), MARK);
    const char *const elsewhere_old = make(compose(old), MARK);
    const char *const living = make(compose(own), MARK);
    const char *const somebodys = make(compose(gone), "keep this");
    const char *const users = make("pgdbm_test_mine", NULL);
    const char *const users_marked = make("pgdbm_test_4711_copy", MARK);
    const char *const fresh = template_used('a', 3600);
    const char *const stale = template_used('b', 8 * 86400);
    const char *const odd = make("pgdbm_template_mine", MARK);
    for (int round = 0; round < 2; round++) {
        const pgdbm_sweep_options options = {.dry_run = round == 0};
        bool dry = options.dry_run;
        assert_ok(pgdbm_testdb_sweep(test_server_url(), &options, &report, &err));
        assert_int_equal(report->n_databases, 11);
        assert_int_equal(report->n_dropped, 4);
        assert_int_equal(report->n_failed, 0);
        expect(report, marked, PGDBM_SWEPT_DROPPED, "is gone", dry);
        expect(report, unmarked, PGDBM_SWEPT_DROPPED, "is gone", dry);
        expect(report, elsewhere, PGDBM_SWEPT_KEPT, "another host", true);
        expect(report, elsewhere_old, PGDBM_SWEPT_DROPPED, "2 days ago", dry);
        expect(report, living, PGDBM_SWEPT_KEPT, "lives", true);
        expect(report, somebodys, PGDBM_SWEPT_KEPT, "comment", true);
        expect(report, users, PGDBM_SWEPT_KEPT, "name", true);
        expect(report, users_marked, PGDBM_SWEPT_KEPT, "name", true);
        expect(report, fresh, PGDBM_SWEPT_KEPT, "60 min ago", true);
        expect(report, stale, PGDBM_SWEPT_DROPPED, "8 days ago", dry);
        expect(report, odd, PGDBM_SWEPT_KEPT, "name", true);
        pgdbm_sweep_report_free(report);
    }
    const char *const left[] = {elsewhere, living, somebodys, users, users_marked, fresh, odd};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        forget(left[i]);
    pgdbm_sweep_report_free(NULL);
}

static void ages_can_be_chosen(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_sweep_report *report = NULL;
    struct name foreign = own_name();
    foreign.host++;
    foreign.created -= 3600;
    const char *const elsewhere = make(compose(foreign), MARK);
    const char *const used = template_used('c', 100 * 86400);
    const pgdbm_sweep_options never = {.foreign_age_s = -1, .template_age_s = -1};
    assert_ok(pgdbm_testdb_sweep(test_server_url(), &never, &report, &err));
    assert_int_equal(report->n_dropped, 0);
    pgdbm_sweep_report_free(report);
    const pgdbm_sweep_options soon = {.foreign_age_s = 3600, .template_age_s = 3600};
    assert_ok(pgdbm_testdb_sweep(test_server_url(), &soon, NULL, &err));
    assert_int_equal(databases_like(elsewhere), 0);
    assert_int_equal(databases_like(used), 0);
}

static void what_somebody_elsewhere_uses_is_kept_however_old(void **state)
{
    (void)state;
    pgdbm_error err;
    char url[1024];
    pgdbm_sweep_report *report = NULL;
    struct name foreign = own_name();
    foreign.host++;
    foreign.created -= 2 * 86400;
    const char *const elsewhere = make(compose(foreign), MARK);
    snprintf(url, sizeof url, "%s&dbname=%s", test_server_url(), elsewhere);
    PGconn *session = PQconnectdb(url);
    assert_int_equal(PQstatus(session), CONNECTION_OK);
    assert_ok(pgdbm_testdb_sweep(test_server_url(), NULL, &report, &err));
    expect(report, elsewhere, PGDBM_SWEPT_KEPT, "somebody is connected", true);
    pgdbm_sweep_report_free(report);
    PQfinish(session);
    forget(elsewhere);
}

static void a_process_that_only_its_parent_has_not_looked_at_is_gone(void **state)
{
    (void)state;
    pgdbm_error err;
    char path[64], text[1024] = "";
    struct name name = own_name();
    siginfo_t ended;
    test_needs_fork();
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    assert_int_equal(waitid(P_PID, (id_t)child, &ended, WEXITED | WNOWAIT), 0);
    snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    name.pid = (unsigned)child;
    assert_int_equal(sscanf(strrchr(text, ')') + 2,
                            "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                            &name.start),
                     1);
    const char *const zombies = make(compose(name), MARK);
    assert_ok(pgdbm_testdb_sweep(test_server_url(), NULL, NULL, &err));
    assert_int_equal(databases_like(zombies), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void the_first_creation_on_a_server_sweeps_it(void **state)
{
    (void)state;
    pgdbm_error err;
    char url[1024];
    pgdbm_testdb *testdb = NULL;
    const char *const left = make(compose(dead()), MARK);
    /* For this process a connection string that it has not had yet is a server that it has not been to yet. */
    snprintf(url, sizeof url, "%s&connect_timeout=10", test_server_url());
    const pgdbm_testdb_options options = {.server_url = url};
    assert_ok(pgdbm_testdb_create(&options, &testdb, &err));
    assert_int_equal(databases_like(left), 0);
    pgdbm_testdb_drop(testdb);
}

static void what_cannot_be_dropped_is_reported(void **state)
{
    (void)state;
    pgdbm_error err;
    char url[1024];
    pgdbm_sweep_report *report = NULL;
    const char *const left = make(compose(dead()), MARK);
    test_psql(test_server_url(), "CREATE ROLE nobody LOGIN");
    snprintf(url, sizeof url, "postgresql://nobody@/postgres?host=%s",
             pgdbm_testserver_socket_directory(test_server()));
    assert_ok(pgdbm_testdb_sweep(url, NULL, &report, &err));
    assert_int_equal(report->n_failed, 1);
    assert_int_equal(report->n_dropped, 0);
    expect(report, left, PGDBM_SWEPT_FAILED, "must be owner", true);
    pgdbm_sweep_report_free(report);
    forget(left);
    test_psql(test_server_url(), "DROP ROLE nobody");
}

static void a_server_must_be_named_and_answer(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_sweep_report *report = NULL;
    assert_fails(PGDBM_ERR_CONFIG, pgdbm_testdb_sweep(NULL, NULL, &report, &err));
    assert_contains(err.hint, "TEST_DATABASE_URL");
    assert_fails(PGDBM_ERR_CONNECTION, pgdbm_testdb_sweep("host=/nowhere", NULL, &report, &err));
    assert_null(report);
}

static int setup(void **state)
{
    (void)state;
    const char *const names[] = {"TEST_DATABASE_URL", "TEST_DB_HOST", "TEST_DB_PORT", "TEST_DB_USER", "TEST_DB_NAME"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_nobody_owns_is_dropped_and_nothing_else),
        cmocka_unit_test(ages_can_be_chosen),
        cmocka_unit_test(what_somebody_elsewhere_uses_is_kept_however_old),
        cmocka_unit_test(a_process_that_only_its_parent_has_not_looked_at_is_gone),
        cmocka_unit_test(the_first_creation_on_a_server_sweeps_it),
        cmocka_unit_test(what_cannot_be_dropped_is_reported),
        cmocka_unit_test(a_server_must_be_named_and_answer),
    };
    test_server_own(NULL);
    return cmocka_run_group_tests_name("sweep", tests, setup, NULL);
}
