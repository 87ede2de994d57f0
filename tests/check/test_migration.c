/* SPDX-License-Identifier: MIT */
/* Rules that hold in migrations: transactions, and DDL that is dangerous for a table in use. */
#include "check/findings.h"

#include <stdio.h>
#include <stdlib.h>

static void a_new_table_may_be_changed_at_will(void **state)
{
    (void)state;
    expect_migration(
        UP,
        "CREATE TABLE {{tables.a}} (id bigserial PRIMARY KEY, b int REFERENCES {{tables.b}});\n"
        "CREATE INDEX a_b ON {{tables.a}} (b);\n"
        "ALTER TABLE {{tables.a}} ADD c uuid NOT NULL DEFAULT gen_random_uuid(),\n"
        "    ADD CHECK (b > 0), ADD UNIQUE (c), ALTER b TYPE bigint, ALTER b SET NOT NULL, DROP COLUMN c;\n"
        "UPDATE {{tables.a}} SET b = 1;\n"
        "ALTER TABLE {{tables.a}} RENAME TO c; DROP TABLE {{tables.c}};\n",
        NULL);
    expect_migration(UP, "CREATE TABLE {{tables.a}} AS SELECT 1 AS b; CREATE INDEX ON {{tables.a}} (b)", NULL);
    expect_migration(UP, "CREATE MATERIALIZED VIEW {{tables.m}} AS SELECT 1 AS b; CREATE INDEX ON {{tables.m}} (b)",
                     NULL);
}

static void transactions_are_pgdbms(void **state)
{
    (void)state;
    expect_migration(UP, "BEGIN; SELECT 1; COMMIT;", "1:1 transaction-control", "1:18 transaction-control", NULL);
    expect_migration(UP, "-- pgdbm:no-transaction\nSAVEPOINT a", "2:1 transaction-control", NULL);
    expect_migration(UP, "DO $$ BEGIN PERFORM 1; END $$", NULL);
    expect_sql("BEGIN; COMMIT", NULL);
}

static void what_runs_outside_of_transactions_needs_the_directive(void **state)
{
    (void)state;
    static const char *const statements[] = {
        "VACUUM {{tables.a}}",
        "CREATE DATABASE x",
        "DROP DATABASE x",
        "CREATE TABLESPACE x LOCATION '/x'",
        "DROP TABLESPACE x",
        "ALTER SYSTEM SET work_mem = 1",
        "CREATE INDEX CONCURRENTLY i ON {{tables.a}} (b)",
        "DROP INDEX CONCURRENTLY {{schema}}.i",
        "REINDEX TABLE CONCURRENTLY {{tables.a}}",
        "REINDEX DATABASE x",
        "REINDEX SCHEMA x",
        "ALTER DATABASE x SET TABLESPACE y",
        "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p",
        "ALTER TABLE {{tables.a}} DETACH PARTITION {{tables.b}} CONCURRENTLY",
        "DISCARD ALL",
    };
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        char file[256];
        expect_migration(UP, statements[i], "1:1 outside-transaction", NULL);
        snprintf(file, sizeof file, "/* a */\n-- pgdbm:no-transaction\n%s;", statements[i]);
        expect_migration(UP, file, NULL);
        expect_sql(statements[i], NULL);
    }
    expect_migration(UP, "SELECT 1;\n-- pgdbm:no-transaction\nDISCARD ALL", "3:1 outside-transaction", NULL);
    expect_migration(UP, "ALTER TYPE {{schema}}.e ADD VALUE 'x'; ANALYZE {{tables.a}}; DISCARD PLANS", NULL);
    expect_migration(UP, "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (create_slot = false)", NULL);
    expect_migration(UP, "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (connect = false)", NULL);
}

static void a_way_back_is_always_a_transaction(void **state)
{
    (void)state;
    expect_migration(UP, "-- pgdbm:no-transaction\nVACUUM;\n-- pgdbm:down\nDROP INDEX CONCURRENTLY {{schema}}.i;",
                     "4:1 outside-transaction", NULL);
}

static void a_new_column_that_rewrites_is_found(void **state)
{
    (void)state;
    expect_migration(UP, "ALTER TABLE {{tables.a}} ADD b uuid DEFAULT gen_random_uuid()", "1:30 add-column-rewrite",
                     NULL);
    expect_migration(UP, "ALTER TABLE {{tables.a}} ADD b bigserial", "1:30 add-column-rewrite", NULL);
    expect_migration(UP, "ALTER TABLE {{tables.a}} ADD b int GENERATED ALWAYS AS IDENTITY", "1:30 add-column-rewrite",
                     NULL);
    expect_migration(UP, "ALTER TABLE {{tables.a}} ADD b int GENERATED ALWAYS AS (c + 1) STORED",
                     "1:30 add-column-rewrite", NULL);
    expect_migration(
        UP,
        "ALTER TABLE {{tables.a}} ADD b int, ADD c int NOT NULL DEFAULT 0, ADD d timestamptz DEFAULT now(),"
        " ADD e text DEFAULT {{schema}}.f(), ADD f bigint REFERENCES {{tables.b}}",
        NULL);
}

static void a_new_column_that_cannot_be_filled_is_found(void **state)
{
    (void)state;
    expect_migration(UP, "ALTER TABLE {{tables.a}}\n  ADD COLUMN b int NOT NULL", "2:14 add-column-not-null", NULL);
}

static void constraints_that_read_the_table_are_found(void **state)
{
    (void)state;
    expect_migration(UP, "ALTER TABLE {{tables.a}} ADD CONSTRAINT c CHECK (b > 0)", "1:30 constraint-not-valid", NULL);
    expect_migration(UP, "ALTER TABLE {{tables.a}} ADD FOREIGN KEY (b) REFERENCES {{tables.b}}",
                     "1:30 constraint-not-valid", NULL);
    expect_migration(UP, "ALTER TABLE {{tables.a}} ADD b int CHECK (b > 0)", "1:36 constraint-not-valid", NULL);
    expect_migration(UP, "ALTER TABLE {{tables.a}} ADD b int DEFAULT 1 REFERENCES {{tables.b}}",
                     "1:46 constraint-not-valid", NULL);
    expect_migration(UP,
                     "ALTER TABLE {{tables.a}} ADD CONSTRAINT c CHECK (b > 0) NOT VALID,\n"
                     "  ADD FOREIGN KEY (b) REFERENCES {{tables.b}} NOT VALID",
                     NULL);
    expect_migration(UP, "ALTER TABLE {{tables.a}} VALIDATE CONSTRAINT c", NULL);
    expect_migration(UP,
                     "ALTER TABLE {{tables.a}} ADD CONSTRAINT c CHECK (b > 0) NOT VALID;\n"
                     "ALTER TABLE {{tables.a}} VALIDATE CONSTRAINT c",
                     "2:1 validate-with-add", NULL);
    expect_migration(UP,
                     "-- pgdbm:no-transaction\nALTER TABLE {{tables.a}} ADD CONSTRAINT c CHECK (b > 0) NOT VALID;\n"
                     "ALTER TABLE {{tables.a}} VALIDATE CONSTRAINT c",
                     NULL);
}

static void constraints_that_build_an_index_are_found(void **state)
{
    (void)state;
    expect_migration(UP, "ALTER TABLE {{tables.a}} ADD UNIQUE (b)", "1:30 constraint-builds-index", NULL);
    expect_migration(UP, "ALTER TABLE {{tables.a}} ADD b int UNIQUE", "1:30 constraint-builds-index", NULL);
    expect_migration(UP, "ALTER TABLE {{tables.a}} ADD EXCLUDE USING gist (b WITH &&)", "1:30 constraint-builds-index",
                     NULL);
    expect_migration(UP, "ALTER TABLE {{tables.a}} ADD CONSTRAINT c UNIQUE USING INDEX i", NULL);
}

static void changes_of_columns_in_use_are_found(void **state)
{
    (void)state;
    expect_migration(UP, "ALTER TABLE {{tables.a}} ALTER b TYPE bigint", "1:32 alter-column-type", NULL);
    expect_migration(UP, "ALTER TABLE {{tables.a}} ALTER b TYPE text USING c::text", "1:32 alter-column-type", NULL);
    expect_migration(UP,
                     "ALTER TABLE {{tables.a}} ALTER b TYPE text, ALTER c TYPE varchar(40), ALTER d TYPE numeric(12, "
                     "2), ALTER e SET DEFAULT random()",
                     NULL);
    expect_migration(UP, "ALTER TABLE {{tables.a}} ALTER b SET NOT NULL", "1:32 set-not-null", NULL);
    expect_migration(UP,
                     "ALTER TABLE {{tables.a}} VALIDATE CONSTRAINT b_is_there;\n"
                     "ALTER TABLE {{tables.a}} ALTER b SET NOT NULL, DROP CONSTRAINT b_is_there",
                     NULL);
    expect_migration(UP, "ALTER TABLE {{tables.a}} DROP COLUMN b, DROP IF EXISTS c", "1:38 drop-column",
                     "1:56 drop-column", NULL);
    expect_migration(UP, "ALTER TABLE {{tables.a}} RENAME b TO c", "1:1 rename", NULL);
}

static void indexes_on_a_table_in_use_are_built_concurrently(void **state)
{
    (void)state;
    expect_migration(UP, "SELECT 1;\nCREATE UNIQUE INDEX i ON {{tables.a}} (b)", "2:1 index-not-concurrent", NULL);
    expect_migration(UP, "CREATE INDEX i ON ONLY {{tables.a}} (b)", NULL);
    expect_migration(UP, "REINDEX TABLE {{tables.a}}", "1:1 index-not-concurrent", NULL);
    expect_sql("CREATE INDEX i ON {{tables.a}} (b)", NULL);
}

static void rewrites_and_long_locks_are_found(void **state)
{
    (void)state;
    expect_migration(UP, "ALTER TABLE {{tables.a}} SET UNLOGGED", "1:1 table-rewrite", NULL);
    expect_migration(UP, "CLUSTER {{tables.a}} USING i", "1:1 table-rewrite", NULL);
    expect_migration(UP, "-- pgdbm:no-transaction\nVACUUM FULL {{tables.a}}; VACUUM (FULL false) {{tables.a}}",
                     "2:1 table-rewrite", NULL);
    expect_migration(UP, "ALTER TABLE {{tables.a}} ADD b int; UPDATE {{tables.a}} SET b = 1", "1:37 update-under-lock",
                     NULL);
    expect_migration(UP, "ALTER TABLE {{tables.a}} ADD b int; UPDATE {{tables.a}} SET b = 1 WHERE id = 3", NULL);
    expect_migration(UP, "UPDATE {{tables.a}} SET b = 1", NULL);
    expect_migration(UP, "TRUNCATE {{tables.a}} CASCADE", "1:1 truncate-cascade", NULL);
    expect_migration(UP, "TRUNCATE {{tables.a}}", NULL);
}

static void drops_and_renames_are_found(void **state)
{
    (void)state;
    expect_migration(UP, "DROP TABLE {{tables.a}}", "1:1 drop-table", NULL);
    expect_migration(UP, "ALTER TABLE {{tables.a}} RENAME TO b", "1:1 rename", NULL);
    expect_migration(UP, "ALTER TYPE {{schema}}.e RENAME VALUE 'a' TO 'b'", "1:1 rename", NULL);
    expect_migration("1_a.down.sql", "ALTER TYPE {{schema}}.e RENAME VALUE 'a' TO 'b'", NULL);
    expect_migration(UP, "ALTER SCHEMA {{schema}} RENAME TO b", "1:1 rename", NULL);
    expect_migration(UP, "DROP VIEW {{tables.v}}; DROP FUNCTION f(); ALTER INDEX {{schema}}.i RENAME TO j", NULL);
}

static void a_way_back_drops_and_renames(void **state)
{
    (void)state;
    static const char back[] = "ALTER TABLE {{tables.a}} DROP b, DROP c; ALTER TABLE {{tables.a}} RENAME d TO e;\n"
                               "DROP TABLE {{tables.b}}; DROP TABLE {{tables.c}} CASCADE;\n";
    char file[512];
    expect_migration("001_a.down.sql", back, NULL);
    snprintf(file, sizeof file, "CREATE TABLE {{tables.b}} ();\n-- pgdbm:down\n%s", back);
    expect_migration(UP, file, NULL);
    expect_migration("001_a.down.sql", "ALTER TABLE {{tables.a}} ALTER b SET NOT NULL; DROP TABLE users",
                     "1:32 set-not-null", "1:59 bare-table", NULL);
}

static void a_new_value_of_an_enum_is_used_in_the_next_file(void **state)
{
    (void)state;
    expect_migration(UP,
                     "ALTER TYPE {{schema}}.e ADD VALUE 'x' AFTER 'y';\n"
                     "UPDATE {{tables.a}} SET b = 'x' WHERE c; UPDATE {{tables.a}} SET b = 'y' WHERE c",
                     "2:1 new-enum-value", NULL);
    expect_migration(UP,
                     "ALTER TYPE {{schema}}.e ADD VALUE 'x';\n"
                     "UPDATE {{tables.a}} SET b = 'x'::text WHERE upper(c) = upper('x') OR c LIKE 'x';\n"
                     "UPDATE {{tables.a}} SET b = 'x'::{{schema}}.e WHERE c;\n"
                     "UPDATE {{tables.a}} SET b = 'y' WHERE f((SELECT true FROM {{tables.d}} WHERE e = 'x'));",
                     "3:1 new-enum-value", "4:1 new-enum-value", NULL);
    expect_migration(UP, "CREATE TYPE {{schema}}.e AS ENUM (); ALTER TYPE {{schema}}.e ADD VALUE 'x'; SELECT 'x'",
                     NULL);
    expect_migration(UP, "-- pgdbm:no-transaction\nALTER TYPE {{schema}}.e ADD VALUE 'x'; SELECT 'x'", NULL);
}

static void a_lock_is_waited_for_with_a_limit(void **state)
{
    (void)state;
    expect_migration(UP, "-- pgdbm:lock-timeout off\nALTER TABLE {{tables.a}} ADD b int", "2:1 lock-timeout-off", NULL);
    expect_migration(UP, "SET LOCAL lock_timeout = '0s'; ALTER TABLE {{tables.a}} ADD b int", "1:32 lock-timeout-off",
                     NULL);
    expect_migration(UP, "-- pgdbm:lock-timeout off\nCREATE TABLE {{tables.a}} (); ALTER TABLE {{tables.a}} ADD b int",
                     NULL);
    expect_migration(UP, "-- pgdbm:lock-timeout off\nALTER TABLE {{tables.a}} VALIDATE CONSTRAINT c", NULL);
    expect_migration(UP, "-- pgdbm:lock-timeout 30s\nALTER TABLE {{tables.a}} ADD b int", NULL);
    expect_migration(UP, "SET lock_timeout = 0; SET lock_timeout = '1s'; ALTER TABLE {{tables.a}} ADD b int", NULL);
}

static void a_migration_makes_no_schema_of_its_own(void **state)
{
    (void)state;
    expect_migration(UP, "CREATE SCHEMA IF NOT EXISTS app; CREATE SCHEMA IF NOT EXISTS {{schema}}",
                     "1:29 hard-coded-schema", NULL);
    expect_migration(UP, "CREATE SCHEMA gis; CREATE EXTENSION postgis SCHEMA gis; GRANT USAGE ON SCHEMA gis TO PUBLIC",
                     NULL);
    expect_migration(UP, "GRANT USAGE ON SCHEMA app TO a; GRANT SELECT ON ALL TABLES IN SCHEMA app TO a",
                     "1:23 hard-coded-schema", "1:70 hard-coded-schema", NULL);
    expect_migration(UP, "REVOKE CREATE ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA {{schema}} TO a", NULL);
}

static void a_block_is_held_to_what_holds_for_a_migration(void **state)
{
    (void)state;
    expect_migration(UP,
                     "DO $$\nDECLARE n int := 1;\nBEGIN\n"
                     "  IF NOT EXISTS (SELECT FROM pg_class) THEN\n"
                     "    ALTER TABLE {{tables.a}} ALTER b SET NOT NULL; -- ;\n"
                     "  ELSE\n"
                     "    DROP TABLE {{tables.b}};\n"
                     "  END IF;\n"
                     "  <<l>> FOR r IN SELECT 1 LOOP CREATE INDEX ON {{tables.c}} (d); END LOOP;\n"
                     "  EXECUTE 'DROP TABLE {{tables.d}}';\n"
                     "  EXECUTE format($q$ DROP TABLE {{tables.e}} /* 1 %% */ $q$);\n"
                     "EXCEPTION WHEN others THEN TRUNCATE {{tables.f}} CASCADE;\n"
                     "END $$",
                     "5:36 set-not-null", "7:5 drop-table", "9:32 index-not-concurrent", "10:12 drop-table",
                     "11:22 drop-table", "12:28 truncate-cascade", NULL);
    expect_migration(UP, "DO 'BEGIN DROP TABLE {{tables.a}}; END'", "1:11 drop-table", NULL);
    expect_migration(UP, "-- pgdbm:down\nDO $$ BEGIN DROP TABLE {{tables.a}}; END $$", NULL);
    expect_migration(UP, "DO $$ BEGIN CREATE TABLE {{tables.a}} (b int); END $$; DROP TABLE {{tables.a}}", NULL);
    expect_migration(UP, "CREATE TABLE {{tables.a}} (b int); DO $$ BEGIN DROP TABLE {{tables.a}}; END $$", NULL);
    expect_migration(UP,
                     "-- pgdbm:lock-timeout off\nDO $$ BEGIN SET LOCAL lock_timeout = '1s';\n"
                     "ALTER TABLE {{tables.a}} ADD b int; END $$",
                     NULL);
}

static void a_block_is_always_in_a_transaction(void **state)
{
    (void)state;
    expect_migration(UP, "DO $$ BEGIN CREATE INDEX CONCURRENTLY ON {{tables.a}} (b); END $$",
                     "1:13 outside-transaction", NULL);
    expect_migration(UP, "-- pgdbm:no-transaction\nDO $$ BEGIN VACUUM {{tables.a}}; END $$", "2:13 outside-transaction",
                     NULL);
}

static void a_function_that_is_only_made_changes_no_table(void **state)
{
    (void)state;
    expect_migration(UP,
                     "CREATE FUNCTION {{schema}}.f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN\n"
                     "  DROP TABLE {{tables.a}}; ALTER TABLE {{tables.b}} ADD c int NOT NULL; SET lock_timeout = 0;\n"
                     "  EXECUTE 'DROP TABLE {{tables.a}}'; CREATE TABLE {{tables.d}} ();\n"
                     "END $$; ALTER TABLE {{tables.e}} ADD f int; DROP TABLE {{tables.d}}",
                     "4:45 drop-table", NULL);
    expect_migration(UP,
                     "CREATE FUNCTION {{schema}}.f() RETURNS void LANGUAGE sql AS $$ DROP TABLE {{tables.a}} $$;\n"
                     "DO $x$ BEGIN CREATE FUNCTION {{schema}}.g() RETURNS void LANGUAGE plpgsql AS $$ BEGIN\n"
                     "  DROP TABLE {{tables.a}}; DELETE FROM b; END $$; DROP TABLE {{tables.a}}; END $x$",
                     "3:40 bare-table", "3:51 drop-table", NULL);
}

static void what_is_correct_has_no_findings(void **state)
{
    (void)state;
    FILE *file = fopen(PGDBM_TESTS_SOURCE "/tests/check/001_correct.sql", "r");
    assert_non_null(file);
    static char text[65536];
    size_t bytes = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    assert_true(bytes > 5000 && bytes < sizeof text - 1);
    text[bytes] = '\0';
    struct pgdbm__check_run *run = findings_begin();
    struct pgdbm__check_sql sql = {.file = UP, .text = text, .bytes = bytes, .migration = true};
    assert_true(pgdbm__check_read_sql(run, &sql));
    char *found = findings_end(run);
    assert_string_equal(found, "");
    free(found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_table_may_be_changed_at_will),
        cmocka_unit_test(transactions_are_pgdbms),
        cmocka_unit_test(what_runs_outside_of_transactions_needs_the_directive),
        cmocka_unit_test(a_way_back_is_always_a_transaction),
        cmocka_unit_test(a_new_column_that_rewrites_is_found),
        cmocka_unit_test(a_new_column_that_cannot_be_filled_is_found),
        cmocka_unit_test(constraints_that_read_the_table_are_found),
        cmocka_unit_test(constraints_that_build_an_index_are_found),
        cmocka_unit_test(changes_of_columns_in_use_are_found),
        cmocka_unit_test(indexes_on_a_table_in_use_are_built_concurrently),
        cmocka_unit_test(rewrites_and_long_locks_are_found),
        cmocka_unit_test(drops_and_renames_are_found),
        cmocka_unit_test(a_way_back_drops_and_renames),
        cmocka_unit_test(a_new_value_of_an_enum_is_used_in_the_next_file),
        cmocka_unit_test(a_lock_is_waited_for_with_a_limit),
        cmocka_unit_test(a_block_is_held_to_what_holds_for_a_migration),
        cmocka_unit_test(a_block_is_always_in_a_transaction),
        cmocka_unit_test(a_function_that_is_only_made_changes_no_table),
        cmocka_unit_test(what_is_correct_has_no_findings),
        cmocka_unit_test(a_migration_makes_no_schema_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
