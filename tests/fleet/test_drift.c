/* SPDX-License-Identifier: MIT */
/* Tenants that somebody has changed by hand are found, and what was changed is told. */
#include "fleet/scene.h"

#include <string.h>

static void five_tenants(struct scene *scene)
{
    scene_add(scene, "001_shop.sql",
              "CREATE TYPE {{schema}}.mood AS ENUM ('good', 'bad');"
              " CREATE DOMAIN {{schema}}.price AS numeric(9,2) CHECK (VALUE >= 0);"
              " CREATE TABLE {{tables.users}} (id bigserial PRIMARY KEY, name text NOT NULL DEFAULT 'nobody',"
              " mood {{schema}}.mood DEFAULT 'good', CONSTRAINT named CHECK (name <> ''));"
              " CREATE TABLE {{tables.orders}} (id int PRIMARY KEY, user_id bigint REFERENCES {{tables.users}},"
              " price {{schema}}.price, lower text GENERATED ALWAYS AS ('x' || id) STORED);"
              " CREATE INDEX orders_user ON {{tables.orders}} (user_id) WHERE price > 0;"
              " CREATE INDEX users_lower ON {{tables.users}} (lower(name));"
              " CREATE VIEW {{tables.totals}} AS SELECT u.name, sum(o.price) FROM {{tables.users}} u"
              " JOIN {{tables.orders}} o ON o.user_id = u.id WHERE u.mood = 'good' GROUP BY 1;"
              " CREATE FUNCTION {{schema}}.touch() RETURNS trigger LANGUAGE plpgsql AS"
              " 'BEGIN PERFORM count(*) FROM {{tables.users}}; RETURN new; END';"
              " CREATE TRIGGER touched BEFORE INSERT ON {{tables.orders}} FOR EACH ROW WHEN (new.id > 0)"
              " EXECUTE FUNCTION {{schema}}.touch();"
              " ALTER TABLE {{tables.users}} ENABLE ROW LEVEL SECURITY;"
              " CREATE POLICY own ON {{tables.users}} USING (name = current_user)");
    scene_schemas(scene, 5);
    scene_open(scene);
    scene_must_roll_out(scene, &(pgdbm_roll_out){0});
}

/* Exactly one difference, in t_0003. */
static void expect_drift(struct scene *scene, const char *tamper, pgdbm_drift_kind kind, const char *object,
                         const char *expected, const char *found)
{
    pgdbm_drift_report *report = NULL;
    pgdbm_error err = {0};
    scene_run(scene, tamper);
    assert_ok(pgdbm_fleet_drift(scene->fleet, &(pgdbm_drift_options){0}, &report, &err));
    if (report->n_drifts != 1 || report->n_drifted != 1) {
        for (size_t i = 0; i < report->n_drifts; i++)
            print_error("%s %d %s: %s / %s\n", report->drifts[i].schema, report->drifts[i].kind,
                        report->drifts[i].object, report->drifts[i].expected, report->drifts[i].found);
        fail_msg("%s: %zu differences in %zu schemas", tamper, report->n_drifts, report->n_drifted);
    }
    const pgdbm_drift *drift = &report->drifts[0];
    assert_int_equal(report->n_schemas, 5);
    assert_int_equal(report->n_alike, 4);
    assert_string_equal(report->drifted[0], "t_0003");
    assert_string_equal(drift->schema, "t_0003");
    assert_int_equal(drift->kind, kind);
    assert_string_equal(drift->object, object);
    if (expected != NULL)
        assert_contains(drift->expected, expected);
    else
        assert_null(drift->expected);
    if (found != NULL)
        assert_contains(drift->found, found);
    else
        assert_null(drift->found);
    pgdbm_drift_report_free(report);
}

static void equal_tenants_are_equal(void **state)
{
    struct scene *scene = *state;
    pgdbm_drift_report *report = NULL;
    pgdbm_error err = {0};
    five_tenants(scene);
    assert_ok(pgdbm_fleet_drift(scene->fleet, &(pgdbm_drift_options){.fingerprints_only = true}, &report, &err));
    assert_int_equal(report->n_alike, 5);
    assert_int_equal(report->n_drifted, 0);
    assert_int_equal(strlen(report->fingerprint), 32);
    pgdbm_drift_report_free(report);
}

static void names_that_need_quotes_are_taken_off(void **state)
{
    struct scene *scene = *state;
    pgdbm_drift_report *report = NULL;
    pgdbm_error err = {0};
    scene_behind(scene, 0);
    scene_run(scene,
              "CREATE SCHEMA t_plain CREATE TABLE a (id serial PRIMARY KEY) CREATE TABLE b (a int REFERENCES a)");
    scene_run(scene, "CREATE SCHEMA \"t_a\"\"b.c d\" CREATE TABLE a (id serial PRIMARY KEY)"
                     " CREATE TABLE b (a int REFERENCES a)");
    assert_ok(pgdbm_fleet_drift(scene->fleet, &(pgdbm_drift_options){.fingerprints_only = true}, &report, &err));
    assert_int_equal(report->n_schemas, 2);
    assert_int_equal(report->n_alike, 2);
    pgdbm_drift_report_free(report);
}

static void changed_default_is_found(void **state)
{
    five_tenants(*state);
    expect_drift(*state, "ALTER TABLE t_0003.users ALTER name SET DEFAULT 'somebody'", PGDBM_DRIFT_DIFFERS,
                 "column users.name", "default 'nobody'", "default 'somebody'");
}

static void nullable_column_is_found(void **state)
{
    five_tenants(*state);
    expect_drift(*state, "ALTER TABLE t_0003.users ALTER name DROP NOT NULL", PGDBM_DRIFT_DIFFERS, "column users.name",
                 "not null", "text default");
}

static void dropped_index_is_found(void **state)
{
    five_tenants(*state);
    expect_drift(*state, "DROP INDEX t_0003.orders_user", PGDBM_DRIFT_LACKS, "index orders_user",
                 "CREATE INDEX orders_user ON orders USING btree (user_id)", NULL);
}

static void index_on_another_expression_is_found(void **state)
{
    five_tenants(*state);
    expect_drift(*state, "DROP INDEX t_0003.users_lower; CREATE INDEX users_lower ON t_0003.users (upper(name))",
                 PGDBM_DRIFT_DIFFERS, "index users_lower", "lower(name)", "upper(name)");
}

static void invalid_index_is_found(void **state)
{
    five_tenants(*state);
    expect_drift(*state, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_0003.orders_user'::regclass",
                 PGDBM_DRIFT_DIFFERS, "index orders_user", "CREATE INDEX", "(invalid)");
}

static void extra_table_is_told_without_its_parts(void **state)
{
    five_tenants(*state);
    expect_drift(*state, "CREATE TABLE t_0003.backup (id serial PRIMARY KEY, name text)", PGDBM_DRIFT_BEYOND,
                 "table backup", NULL, "table");
}

static void dropped_constraint_is_found(void **state)
{
    five_tenants(*state);
    expect_drift(*state, "ALTER TABLE t_0003.orders DROP CONSTRAINT orders_user_id_fkey", PGDBM_DRIFT_LACKS,
                 "constraint orders.orders_user_id_fkey", "FOREIGN KEY (user_id) REFERENCES users(id)", NULL);
}

static void changed_function_is_found(void **state)
{
    five_tenants(*state);
    expect_drift(*state,
                 "CREATE OR REPLACE FUNCTION t_0003.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; "
                 "END'",
                 PGDBM_DRIFT_DIFFERS, "function touch()", "FROM \"users\"", "BEGIN RETURN new");
}

static void changed_enum_is_found(void **state)
{
    five_tenants(*state);
    expect_drift(*state, "ALTER TYPE t_0003.mood ADD VALUE 'fair'", PGDBM_DRIFT_DIFFERS, "type mood",
                 "enum ('good', 'bad')", "'fair'");
}

static void changed_domain_is_found(void **state)
{
    five_tenants(*state);
    expect_drift(*state, "ALTER DOMAIN t_0003.price SET NOT NULL", PGDBM_DRIFT_DIFFERS, "type price", "numeric(9,2)",
                 "not null");
}

static void changed_view_is_found(void **state)
{
    five_tenants(*state);
    expect_drift(*state,
                 "CREATE OR REPLACE VIEW t_0003.totals AS SELECT u.name, sum(o.price) FROM t_0003.users u"
                 " JOIN t_0003.orders o ON o.user_id = u.id WHERE u.mood = 'bad' GROUP BY 1",
                 PGDBM_DRIFT_DIFFERS, "view totals", "'good'", "'bad'");
}

static void disabled_trigger_is_found(void **state)
{
    five_tenants(*state);
    expect_drift(*state, "ALTER TABLE t_0003.orders DISABLE TRIGGER touched", PGDBM_DRIFT_DIFFERS,
                 "trigger orders.touched", "EXECUTE FUNCTION touch()", "(disabled)");
}

static void changed_sequence_is_found(void **state)
{
    five_tenants(*state);
    expect_drift(*state, "ALTER SEQUENCE t_0003.users_id_seq INCREMENT 10", PGDBM_DRIFT_DIFFERS,
                 "sequence users_id_seq", "increment 1 ", "increment 10 ");
}

static void changed_policy_is_found(void **state)
{
    five_tenants(*state);
    expect_drift(*state, "ALTER POLICY own ON t_0003.users USING (true)", PGDBM_DRIFT_DIFFERS, "policy users.own",
                 "CURRENT_USER", "true");
}

static void reference_and_fingerprint_say_what_is_right(void **state)
{
    struct scene *scene = *state;
    pgdbm_drift_report *report = NULL;
    pgdbm_error err = {0};
    char right[33];
    five_tenants(scene);
    scene_run(scene, "ALTER TABLE t_0003.users ADD COLUMN extra int");
    assert_ok(pgdbm_fleet_drift(scene->fleet, &(pgdbm_drift_options){.reference = "t_0003"}, &report, &err));
    assert_int_equal(report->n_drifted, 4);
    assert_int_equal(report->n_drifts, 4);
    assert_int_equal(report->drifts[0].kind, PGDBM_DRIFT_LACKS);
    assert_string_equal(report->drifts[0].object, "column users.extra");
    memcpy(right, report->fingerprint, sizeof right);
    pgdbm_drift_report_free(report);
    assert_ok(pgdbm_fleet_drift(scene->fleet, &(pgdbm_drift_options){.fingerprint = right}, &report, &err));
    assert_int_equal(report->n_drifted, 4);
    assert_string_equal(report->drifted[0], "t_0001");
    pgdbm_drift_report_free(report);
    assert_ok(pgdbm_fleet_drift(scene->fleet, &(pgdbm_drift_options){.fingerprint = "of nobody"}, &report, &err));
    assert_int_equal(report->n_drifted, 5);
    assert_int_equal(report->n_drifts, 0);
    pgdbm_drift_report_free(report);
    assert_fails(PGDBM_ERR_SCHEMA,
                 pgdbm_fleet_drift(scene->fleet, &(pgdbm_drift_options){.reference = "t_nobody"}, &report, &err));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(equal_tenants_are_equal),
        TEST(names_that_need_quotes_are_taken_off),
        TEST(changed_default_is_found),
        TEST(nullable_column_is_found),
        TEST(dropped_index_is_found),
        TEST(index_on_another_expression_is_found),
        TEST(invalid_index_is_found),
        TEST(extra_table_is_told_without_its_parts),
        TEST(dropped_constraint_is_found),
        TEST(changed_function_is_found),
        TEST(changed_enum_is_found),
        TEST(changed_domain_is_found),
        TEST(changed_view_is_found),
        TEST(disabled_trigger_is_found),
        TEST(changed_sequence_is_found),
        TEST(changed_policy_is_found),
        TEST(reference_and_fingerprint_say_what_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
