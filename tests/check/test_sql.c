/* SPDX-License-Identifier: MIT */
/* References, templates, settings and syntax, in texts that are no migrations. */
#include "check/findings.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct pgdbm__check_piece first = {0, {1, 1}};

static void templated_tables_are_fine(void **state)
{
    (void)state;
    expect_sql("SELECT * FROM {{tables.users}} u JOIN {{ tables.Orders }} USING (id)", NULL);
    expect_sql("SELECT * FROM {{tables.billing.invoices}}", NULL);
    expect_sql("SELECT {{schema}}.f(1) FROM {{schema}}.users", NULL);
    expect_sql("SELECT '{{tables.users}}'::regclass, nextval('{{tables.users_id_seq}}')", NULL);
    expect_sql("DROP INDEX {{schema}}.users_email; COMMENT ON COLUMN {{tables.users}}.email IS 'x';", NULL);
}

static void a_bare_table_is_found_where_it_stands(void **state)
{
    (void)state;
    expect_sql("SELECT *\n  FROM users", "2:8 bare-table", NULL);
    expect_sql("INSERT INTO users (id) SELECT id FROM {{tables.old}}", "1:13 bare-table", NULL);
    expect_sql("UPDATE users SET a = 1; DELETE FROM orders;", "1:8 bare-table", "1:37 bare-table", NULL);
    expect_sql("DROP TABLE {{tables.a}}, users", "1:26 bare-table", NULL);
    expect_sql("CREATE TABLE {{tables.a}} (b int REFERENCES users)", "1:45 bare-table", NULL);
    expect_sql("SELECT (SELECT max(id) FROM users), '{{tables.x}}'", "1:29 bare-table", NULL);
    expect_sql("COMMENT ON TABLE users IS 'x'; COMMENT ON COLUMN users.email IS 'x'", "1:18 bare-table",
               "1:50 bare-table", NULL);
}

static void a_schema_in_a_statement_is_found_where_it_stands(void **state)
{
    (void)state;
    expect_sql("SELECT * FROM app.users, public.t", "1:15 hard-coded-schema", "1:26 hard-coded-schema", NULL);
    expect_sql("DROP TABLE IF EXISTS app.users", "1:22 hard-coded-schema", NULL);
    expect_sql("ALTER TABLE {{tables.a}} SET SCHEMA archive", "1:37 hard-coded-schema", NULL);
    expect_sql("/* \xC3\xA4\xC3\xB6 */ SELECT 1;\n SELECT '\xE2\x82\xAC' FROM app.users", "2:20 hard-coded-schema",
               NULL);
}

/* Each has "app" once as the schema of something that is no table. */
static void a_schema_of_what_is_no_table_is_found(void **state)
{
    (void)state;
    static const char *const statements[] = {
        "SELECT app.total(1)",
        "SELECT * FROM app.totals(1) t",
        "SELECT 'x'::app.mood",
        "SELECT CAST($1 AS app.mood[])",
        "SELECT 1 OPERATOR(app.+) 2",
        "SELECT 1 OPERATOR(app.<) ANY (SELECT 1)",
        "SELECT 'a' COLLATE app.german",
        "SELECT 1 ORDER BY 1 USING OPERATOR(app.<)",
        "SELECT nextval('app.seq')",
        "SELECT setval('\"app\".seq', 1)",
        "SELECT pg_get_serial_sequence('app.users', 'id')",
        "SELECT 'app.users'::regclass",
        "SELECT nextval('app.seq'::regclass)",
        "SELECT to_regprocedure('app.f(int)')",
        "SELECT 'app.mood'::regtype",
        "CALL app.work(1)",
        "CREATE FUNCTION app.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION {{schema}}.f(a app.mood) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION {{schema}}.f() RETURNS SETOF app.mood LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION {{schema}}.f(a app.users.id%TYPE) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION {{schema}}.f() RETURNS int LANGUAGE sql AS $$ SELECT app.g() $$",
        "CREATE TYPE app.mood AS ENUM ('a')",
        "CREATE TYPE app.pair AS (a int)",
        "CREATE TYPE app.span AS RANGE (subtype = int)",
        "CREATE DOMAIN app.email AS text",
        "CREATE DOMAIN {{schema}}.email AS app.name",
        "CREATE TABLE {{tables.a}} (b app.mood)",
        "CREATE TABLE {{tables.a}} (b int DEFAULT app.f())",
        "CREATE INDEX ON {{tables.a}} (b app.ops)",
        "CREATE INDEX ON {{tables.a}} (app.f(b))",
        "CREATE TRIGGER t BEFORE INSERT ON {{tables.a}} FOR EACH ROW EXECUTE FUNCTION app.touch()",
        "CREATE AGGREGATE app.agg (int) (sfunc = int4pl, stype = int)",
        "CREATE AGGREGATE {{schema}}.agg (int) (sfunc = app.plus, stype = int)",
        "CREATE OPERATOR app.=== (leftarg = int, rightarg = int, function = int4eq)",
        "CREATE COLLATION app.c (locale = 'C')",
        "CREATE STATISTICS app.s ON a, b FROM {{tables.a}}",
        "CREATE TEXT SEARCH CONFIGURATION app.c (COPY = english)",
        "CREATE CAST (text AS app.mood) WITH INOUT",
        "CREATE SEQUENCE {{tables.s}} OWNED BY app.users.id",
        "ALTER TABLE {{tables.a}} ADD b app.mood",
        "ALTER TYPE app.mood ADD VALUE 'x'",
        "ALTER TYPE app.mood RENAME TO state",
        "ALTER TYPE app.mood OWNER TO me",
        "ALTER DOMAIN app.email DROP NOT NULL",
        "ALTER FUNCTION app.f(int) STABLE",
        "ALTER FUNCTION app.f RENAME TO g",
        "DROP FUNCTION IF EXISTS app.f(int)",
        "DROP FUNCTION {{schema}}.f(app.mood)",
        "DROP TYPE app.mood",
        "DROP OPERATOR app.+ (int, int)",
        "DROP OPERATOR CLASS app.ops USING btree",
        "DROP COLLATION app.c",
        "DROP STATISTICS app.s",
        "COMMENT ON FUNCTION app.f(int) IS 'x'",
        "COMMENT ON TYPE app.mood IS 'x'",
        "COMMENT ON CONSTRAINT c ON DOMAIN app.email IS 'x'",
        "GRANT EXECUTE ON FUNCTION app.f(int) TO me",
        "GRANT USAGE ON TYPE app.mood TO me",
        "DO $$ BEGIN PERFORM 1; END $$; SELECT app.f()",
    };
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        char place[64];
        const char *at = strstr(statements[i], "app");
        snprintf(place, sizeof place, "1:%zu hard-coded-schema", (size_t)(at - statements[i]) + 1);
        expect_sql(statements[i], place, NULL);
    }
    expect_sql("DROP FUNCTION app.f(int), app.g(app.t)", "1:15 hard-coded-schema", "1:27 hard-coded-schema",
               "1:33 hard-coded-schema", NULL);
}

static void what_others_bring_may_have_a_schema(void **state)
{
    (void)state;
    static const char *const statements[] = {
        "SELECT public.gen_random_uuid(), public.crypt($1, public.gen_salt('bf')), $2::public.citext",
        "SELECT a.b OPERATOR(public.<->) c, a.b.c, (a.b).c, a.*, t.x::text FROM {{tables.a}} a",
        "CREATE INDEX ON {{tables.a}} USING gin (b public.gin_trgm_ops)",
        "CREATE TABLE {{tables.a}} (b public.geometry(Point, 4326), c public.hstore DEFAULT ''::public.hstore)",
        "REVOKE EXECUTE ON FUNCTION public.dblink(text) FROM PUBLIC; COMMENT ON TYPE public.citext IS 'x'",
        "SELECT pg_catalog.now(), 'pg_catalog.int4'::regtype, 'a' COLLATE pg_catalog.\"C\", "
        "x::information_schema.sql_identifier",
        "SELECT pg_catalog.set_config('app.user', 'a.b', true), current_setting('app.user'), 'a.b'::text, 'a.b'::ltree",
        "SELECT extract(epoch FROM a.b), a.b AT TIME ZONE 'x', substring(a.b FROM 1), (a, b) OVERLAPS (c, d)",
        "SELECT cron.schedule('x', '* * * * *', 'y'), extensions.uuid_generate_v4(), aws_s3.query_export_to_s3()",
        "SELECT nextval('{{tables.seq}}'), '{{schema}}.f(int)'::regprocedure, to_regclass('{{tables.a}}'), "
        "nextval('seq')",
        "SELECT nextval($1), $1::regclass, to_regclass(a.b), '16384.5'::regclass, 'no name. at all'::regclass",
        "SELECT 'public.spatial_ref_sys'::regclass, 'public.citext'::regtype FROM public.spatial_ref_sys",
        "CREATE FUNCTION {{schema}}.f(a {{tables.users}}.id%TYPE, b users.id%TYPE) RETURNS int LANGUAGE sql AS 'SELECT "
        "1'",
        "CREATE SEQUENCE {{tables.s}} OWNED BY {{tables.users}}.id; ALTER SEQUENCE {{tables.s}} OWNED BY NONE",
        "CREATE EXTENSION postgis SCHEMA gis; SELECT gis.st_point(1, 2), $1::gis.geometry",
        "ALTER EXTENSION postgis SET SCHEMA gis; SELECT gis.st_point(1, 2)",
        "DROP OPERATOR CLASS ops USING btree; ALTER OPERATOR FAMILY {{schema}}.f USING btree ADD OPERATOR 1 = (int, "
        "int)",
        "SELECT gis.ST_Point(1, 2)::gis.geometry, ext.uuid_generate_v4(), 'x'::ext.citext, 'ext.hstore'::regtype",
        "SELECT {{tables.audit.record}}(1), {{schema}}.f(x => a.b), count(*) FILTER (WHERE a.b) OVER (ORDER BY a.b)",
    };
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        expect_sql(statements[i], NULL);
}

static void what_the_files_make_in_public_is_no_extensions(void **state)
{
    (void)state;
    expect_sql("CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT public.f(), public.g()",
               "1:17 hard-coded-schema", "1:75 hard-coded-schema", NULL);
    expect_sql("SELECT 'a'::public.mood; SELECT public.mood(1); CREATE TYPE public.mood AS ENUM ('a')",
               "1:13 hard-coded-schema", "1:61 hard-coded-schema", NULL);
    expect_sql("CREATE FUNCTION app.st_mine() RETURNS int LANGUAGE sql AS 'SELECT 1'", "1:17 hard-coded-schema", NULL);
    expect_sql("CREATE FUNCTION {{schema}}.crypt(a text) RETURNS text LANGUAGE sql AS $$ SELECT public.crypt(a, '') $$",
               NULL);
}

static void what_is_no_table_of_the_module_needs_no_template(void **state)
{
    (void)state;
    expect_sql("WITH new AS (SELECT 1), RECURSIVE_ AS (SELECT * FROM new) SELECT * FROM recursive_", NULL);
    expect_sql("WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t) SELECT n FROM t", NULL);
    expect_sql("SELECT * FROM pg_class, pg_catalog.pg_type, information_schema.tables", NULL);
    expect_sql("SELECT * FROM generate_series(1, 3) n, unnest($1::int[]) u, jsonb_to_recordset($2) AS x(a int)", NULL);
    expect_sql("SELECT * FROM (VALUES (1, 2)) v (a, b), LATERAL (SELECT v.a) l", NULL);
    expect_sql("SELECT * FROM {{tables.jobs}} j FOR UPDATE OF j SKIP LOCKED", NULL);
    expect_sql("INSERT INTO {{tables.a}} (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET id = excluded.id", NULL);
    expect_sql("UPDATE {{tables.a}} a SET b = f.b FROM {{tables.f}} f WHERE f.id = a.id RETURNING a.*", NULL);
    expect_sql("SELECT * FROM spatial_ref_sys, cron.job", NULL);
    expect_sql("IMPORT FOREIGN SCHEMA x LIMIT TO (t) FROM SERVER s INTO {{schema}}", NULL);
    expect_sql("CREATE TYPE status AS ENUM ('a'); CREATE TYPE pair AS (a int, b int)", NULL);
    expect_sql("SELECT EXTRACT(epoch FROM u.made) FROM {{tables.users}} u WHERE u.a IS DISTINCT FROM u.b", NULL);
    expect_sql("LISTEN users; NOTIFY users; DECLARE c CURSOR FOR SELECT 1; FETCH c; PREPARE p AS SELECT 1", NULL);
}

static void a_temporary_table_needs_no_template(void **state)
{
    (void)state;
    expect_sql("CREATE TEMP TABLE scratch (a int); INSERT INTO scratch VALUES (1); DROP TABLE scratch", NULL);
    expect_sql("CREATE TEMPORARY TABLE scratch AS SELECT 1; SELECT * FROM scratch", NULL);
    expect_sql("SELECT 1 AS a INTO TEMP scratch; TABLE scratch", NULL);
    expect_sql("SELECT * FROM pg_temp.scratch", NULL);
    expect_sql("CREATE TABLE pg_temp.scratch (a int); INSERT INTO scratch VALUES (1)", NULL);
    expect_sql("DO $$ BEGIN CREATE TEMP TABLE IF NOT EXISTS scratch (a int); END $$; SELECT * FROM Scratch", NULL);
}

static void a_schema_of_an_extension_is_fine(void **state)
{
    (void)state;
    expect_sql("CREATE EXTENSION postgis SCHEMA gis; SELECT * FROM gis.layers", NULL);
    expect_sql("SELECT * FROM gis.layers", "1:15 hard-coded-schema", NULL);
}

static void a_table_with_and_without_template_names_the_other_place(void **state)
{
    (void)state;
    struct pgdbm__check_names *names = pgdbm__check_names_create();
    struct pgdbm__check_run *run = findings_begin();
    struct pgdbm__check_sql one = {
        .file = "one.c", .text = "SELECT 1 FROM users", .bytes = 19, .pieces = &first, .n_pieces = 1, .names = names};
    struct pgdbm__check_sql two = {
        .file = "two.sql", .text = "SELECT 1\nFROM {{tables.users}}", .bytes = 30, .names = names};
    assert_true(pgdbm__check_read_sql(run, &one));
    assert_true(pgdbm__check_read_sql(run, &two));
    assert_true(pgdbm__check_names_report(names, run));
    pgdbm__check_names_free(names);
    char *found = findings_end(run);
    assert_string_equal(found,
                        "1:15 mixed-reference: users has no template here, and is {{tables.users}} in two.sql:2:6\n");
    free(found);
}

static void the_template_of_the_same_file_is_named_before_that_of_another(void **state)
{
    (void)state;
    static const char *const files[] = {"b.c", "c.c", "a.c"}; /* the one by name, whatever comes first */
    struct pgdbm__check_names *names = pgdbm__check_names_create();
    struct pgdbm__check_run *run = findings_begin();
    struct pgdbm__check_sql sql = {.pieces = &first, .n_pieces = 1, .names = names};
    for (size_t i = 0; i < 3; i++) {
        sql.file = files[i];
        sql.text = i == 0   ? "SELECT 1 FROM {{tables.t}}, t"
                   : i == 1 ? "SELECT\n1 FROM t, u"
                            : "SELECT 1 FROM {{tables.t}}, {{tables.u}}";
        sql.bytes = strlen(sql.text);
        assert_true(pgdbm__check_read_sql(run, &sql));
    }
    assert_true(pgdbm__check_names_report(names, run));
    pgdbm__check_names_free(names);
    char *found = findings_end(run);
    assert_string_equal(found, "1:29 mixed-reference: t has no template here, and is {{tables.t}} in b.c:1:15\n"
                               "2:8 mixed-reference: t has no template here, and is {{tables.t}} in a.c:1:15\n"
                               "2:11 mixed-reference: u has no template here, and is {{tables.u}} in a.c:1:29\n");
    free(found);
}

static void a_temporary_table_of_another_text_is_known(void **state)
{
    (void)state;
    struct pgdbm__check_names *names = pgdbm__check_names_create();
    struct pgdbm__check_run *run = findings_begin();
    struct pgdbm__check_sql one = {
        .file = "a.c", .text = "SELECT 1 FROM t", .bytes = 15, .pieces = &first, .n_pieces = 1, .names = names};
    struct pgdbm__check_sql two = {
        .file = "a.c", .text = "CREATE TEMP TABLE t()", .bytes = 21, .pieces = &first, .n_pieces = 1, .names = names};
    assert_true(pgdbm__check_read_sql(run, &one));
    assert_true(pgdbm__check_read_sql(run, &two));
    assert_true(pgdbm__check_names_report(names, run));
    pgdbm__check_names_free(names);
    char *found = findings_end(run);
    assert_string_equal(found, "");
    free(found);
}

struct shared {
    struct pgdbm__check_names *names;
    struct pgdbm__check_run *run;
    int number;
};

/* A hundred texts, each with a bare name that a text of the other thread makes a temporary table. */
static void *read_many(void *context)
{
    struct shared *shared = context;
    for (int i = 0; i < 100; i++) {
        char text[128], file[32];
        snprintf(file, sizeof file, "%d_%d.c", shared->number, i);
        snprintf(text, sizeof text, "CREATE TEMP TABLE a%d_%d (); SELECT 1 FROM a%d_%d, b, {{tables.b}}",
                 shared->number, i, 1 - shared->number, i);
        struct pgdbm__check_sql sql = {
            .file = file, .text = text, .bytes = strlen(text), .pieces = &first, .n_pieces = 1, .names = shared->names};
        if (!pgdbm__check_read_sql(shared->run, &sql))
            return context;
    }
    return NULL;
}

static void threads_share_what_they_know(void **state)
{
    (void)state;
    struct pgdbm__check_names *names = pgdbm__check_names_create();
    struct shared shared[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        shared[i] = (struct shared){names, findings_begin(), i};
        assert_int_equal(pthread_create(&threads[i], NULL, read_many, &shared[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_true(pgdbm__check_names_report(names, shared[0].run));
    pgdbm__check_names_free(names);
    char *found = findings_end(shared[0].run);
    size_t lines = 0;
    for (const char *at = found; *at != '\0'; at = strchr(at, '\n') + 1, lines++)
        assert_non_null(strstr(at, "mixed-reference: b has no template here"));
    assert_int_equal(lines, 200);
    free(found);
    found = findings_end(shared[1].run);
    assert_string_equal(found, "");
    free(found);
}

static void a_malformed_placeholder_is_found_and_no_syntax_error_beside_it(void **state)
{
    (void)state;
    expect_sql("SELECT * FROM {{tabels.users}}", "1:15 bad-template", NULL);
    expect_sql("SELECT * FROM {{tables.a-b}}, {{}}, {{tables.}}, {{tables.1a}}, {{tables.a.b.c}}", "1:15 bad-template",
               "1:31 bad-template", "1:37 bad-template", "1:50 bad-template", "1:65 bad-template", NULL);
    expect_sql("SELECT 1, '{{'", "1:12 bad-template", NULL);
    expect_sql("SELECT '{ {1,2},{3,4}}'::int[]", NULL);
}

static void search_path_by_hand_is_found(void **state)
{
    (void)state;
    expect_sql("SELECT 1; SET search_path = app", "1:11 search-path", NULL);
    expect_sql("SET LOCAL search_path TO {{schema}}", "1:1 search-path", NULL);
    expect_sql("SET SCHEMA 'app'", "1:1 search-path", NULL);
    expect_sql("SELECT set_config('search_path', $1, false)", "1:8 search-path", NULL);
    expect_sql("SELECT pg_catalog.set_config('search_path', '', false)", NULL);
    expect_sql("SET LOCAL search_path = ''; SET search_path = pg_catalog, pg_temp", NULL);
    expect_sql("SET search_path = pg_catalog, app", "1:1 search-path", NULL);
    expect_sql("RESET search_path; SET search_path TO DEFAULT; SHOW search_path", NULL);
}

static void a_function_may_have_a_path_of_its_own(void **state)
{
    (void)state;
    expect_sql("CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = {{schema}}, pg_temp AS 'SELECT 1'",
               NULL);
    expect_sql("CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = app AS 'SELECT 1'",
               "1:64 hard-coded-schema", NULL);
}

static void a_body_in_sql_is_read(void **state)
{
    (void)state;
    expect_sql("CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS $$\n  SELECT count(*) FROM users\n$$",
               "2:24 bare-table", NULL);
    expect_sql("CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT 1 FROM app.users'", "1:67 hard-coded-schema",
               NULL);
    expect_sql("CREATE FUNCTION f() RETURNS bigint BEGIN ATOMIC SELECT 1 FROM users; END", "1:63 bare-table", NULL);
    expect_sql("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELEKT $$", NULL);
}

static void a_body_in_plpgsql_is_read_for_what_is_certain(void **state)
{
    (void)state;
    expect_sql("DO $x$ BEGIN\n INSERT INTO app.log (a) VALUES (1);\n UPDATE {{tables.a}} SET x = 1;\nEND $x$",
               "2:14 hard-coded-schema", NULL);
    expect_sql("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE r {{tables.a}}%ROWTYPE; BEGIN\n"
               "  SELECT x INTO r.id FROM {{tables.a}};\n"
               "  IF NEW.a IS DISTINCT FROM OLD.a OR extract(year FROM r.made) > 1 THEN RETURN NEW; END IF;\n"
               "  FOR r IN SELECT * FROM jsonb_each(NEW.doc) LOOP PERFORM pg_notify('a', r.b); END LOOP;\n"
               "  SELECT * FROM scratch; RETURN NEW; END $$",
               NULL);
    expect_sql("DO $$ BEGIN SET LOCAL search_path = app; END $$", "1:13 search-path", NULL);
    expect_sql("DO $$ BEGIN PERFORM 1 FROM app.users; END $$", "1:28 hard-coded-schema", NULL);
}

#define FUNCTION "CREATE FUNCTION {{schema}}.f() RETURNS "

static void statements_of_sql_in_a_body_are_read(void **state)
{
    (void)state;
    expect_sql("DO $$ BEGIN\n"
               "INSERT INTO users (a) VALUES (CASE WHEN x THEN ';' ELSE $q$;$q$ END) RETURNING id INTO STRICT v;\n"
               "IF CASE WHEN a THEN b ELSE c END THEN UPDATE users SET a = 1; ELSIF d THEN DELETE FROM users; END IF;\n"
               "PERFORM app.f(a) FROM {{tables.a}};\n"
               "EXECUTE 'DELETE FROM users WHERE id = $1' USING v;\n"
               "EXECUTE 'SELECT 1 FROM users' INTO v;\n"
               "RETURN QUERY SELECT app.g(1); RETURN QUERY EXECUTE 'SELECT 1 FROM users';\n"
               "CREATE TYPE app.mood AS ENUM ('a'); GRANT SELECT ON users TO me;\n"
               "END $$",
               "2:13 bare-table", "3:46 bare-table", "3:88 bare-table", "4:9 hard-coded-schema", "5:22 bare-table",
               "6:24 bare-table", "7:21 hard-coded-schema", "7:67 bare-table", "8:13 hard-coded-schema",
               "8:53 bare-table", NULL);
    expect_sql(FUNCTION "int LANGUAGE plpgsql AS $$ BEGIN\n  DELETE FROM app.users; END $$", "2:15 hard-coded-schema",
               NULL);
    expect_sql("DO $$ BEGIN INSERT INTO app.a SELECT 1 FROM app.b; END $$", "1:25 hard-coded-schema",
               "1:45 hard-coded-schema", NULL);
    expect_sql("DO $$ BEGIN SET search_path = app; SET LOCAL search_path = ''; END $$", "1:13 search-path", NULL);
}

/* Odd, but correct, or not to be known. */
static void what_may_be_something_else_in_a_body_is_left_alone(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "SELECT a INTO users FROM {{tables.a}}",
        "comment := 'x'; \"update\" := 1; r.delete := 2; lock = a; set := b",
        "EXECUTE 'DELETE FROM ' || t; EXECUTE 'DELETE FROM users' || t; EXECUTE q; EXECUTE format('DELETE FROM %I', t)",
        "EXECUTE format('DELETE FROM users %s', w); EXECUTE 'SELECT ''a'' FROM users'; EXECUTE (a)",
        "CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 1; INSERT INTO t SELECT * FROM t; DELETE FROM t; DROP TABLE t",
        "EXECUTE 'CREATE TEMP TABLE u (a int)'; INSERT INTO u VALUES (1); UPDATE u SET a = 2",
        "EXECUTE format('CREATE TEMP TABLE IF NOT EXISTS w AS %s WHERE a = ''x''', q); INSERT INTO w VALUES (1)",
        "x := CASE WHEN a THEN b ELSE c END; FOR r IN UPDATE {{tables.a}} SET b = 1 RETURNING * LOOP NULL; END LOOP",
        "UPDATE {{tables.a}} SET b = r.b, c = NEW.c, d = (r).d WHERE CURRENT OF e",
        "INSERT INTO {{tables.a}} SELECT NEW.*; INSERT INTO {{tables.a}} VALUES (r.*)",
        "WITH w AS (DELETE FROM {{tables.a}} RETURNING *) INSERT INTO {{tables.b}} SELECT * FROM w",
        "MERGE INTO {{tables.a}} USING {{tables.b}} ON b.a = a.a WHEN MATCHED THEN UPDATE SET c = 1",
        "ASSERT x; RAISE NOTICE 'DROP TABLE users; %', a; GET DIAGNOSTICS n = ROW_COUNT; CALL {{schema}}.p(n)",
        "CASE a WHEN 1 THEN NULL; ELSE DELETE FROM {{tables.a}}; END CASE",
        "OPEN c FOR SELECT 1 FROM {{tables.a}}; FETCH c INTO r; CLOSE c; PERFORM pg_notify('users', r.a)",
        "INSERT INTO {{tables.a}} (b) VALUES (1) RETURNING b, (SELECT 1) INTO r.b, n",
        "DELETE FROM ) ; INSERT (; UPDATE",
        "RETURN QUERY SELECT extract(epoch FROM r.made), trim(LEADING 'x' FROM r.name) FROM {{tables.a}}",
        "SET LOCAL statement_timeout = 0; RESET search_path; CREATE SCHEMA {{schema}}; ANALYZE {{tables.a}}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        char text[512];
        snprintf(text, sizeof text, "DO $$ DECLARE r record; BEGIN %s; END $$", bodies[i]);
        expect_sql(text, NULL);
        snprintf(text, sizeof text, FUNCTION "int LANGUAGE plpgsql AS $$ <<a>> BEGIN IF b THEN %s; END IF; END $$",
                 bodies[i]);
        expect_sql(text, NULL);
    }
    expect_sql(FUNCTION "trigger LANGUAGE plpgsql AS $$ BEGIN\n INSERT INTO log SELECT * FROM new_rows JOIN old_rows"
                        " USING (id); DELETE FROM {{tables.a}} USING old_rows o; RETURN NULL; END $$",
               "2:14 bare-table", NULL);
    expect_sql(FUNCTION
               "int LANGUAGE plpgsql SET search_path = {{schema}}, pg_temp AS $$ BEGIN DELETE FROM users; END $$",
               NULL);
    expect_sql(FUNCTION "bigint LANGUAGE sql SET search_path = {{schema}}, pg_temp AS 'SELECT count(*) FROM users'",
               NULL);
    expect_sql(FUNCTION "int LANGUAGE plpython3u AS $$ delete; DELETE FROM users; $$", NULL);
}

static void a_syntax_error_costs_one_statement(void **state)
{
    (void)state;
    expect_sql("SELECT 1 FROM a;\nSELEKT 2;\nSELECT 1 FROM b;", "1:15 bare-table", "2:1 sql-syntax", "3:15 bare-table",
               NULL);
    expect_sql("SELECT 1 FROM a;\nSELECT 'open", "1:15 bare-table", "2:8 sql-syntax", NULL);
    expect_sql("SELECT '\xC3\xA4' FROM WHERE", "1:18 sql-syntax", NULL);
    expect_sql("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; SELEKT;", "1:71 sql-syntax",
               NULL);
}

static char *messages_of(const char *sql)
{
    struct pgdbm__check_run *run = findings_begin();
    struct pgdbm__check_sql text = {.file = "a.c", .text = sql, .bytes = strlen(sql), .pieces = &first, .n_pieces = 1};
    assert_true(pgdbm__check_read_sql(run, &text));
    return findings_end(run);
}

static void the_way_out_is_that_of_the_kind(void **state)
{
    (void)state;
    char *found = messages_of("SELECT app.total(a::app.\"Mood\") FROM app.t");
    assert_string_equal(
        found, "1:8 hard-coded-schema: the schema app is written into the statement, for the function total: write "
               "{{schema}}.total\n"
               "1:21 hard-coded-schema: the schema app is written into the statement, for the type Mood: write "
               "{{schema}}.Mood\n"
               "1:38 hard-coded-schema: the schema app is written into the statement, for t\n");
    free(found);
}

static void a_syntax_error_is_told_in_one_line_and_with_the_template(void **state)
{
    (void)state;
    char *found = messages_of("SELECT 1 FROM {{tables.a}} {{tables.b}} WHERE");
    assert_string_equal(found, "1:28 sql-syntax: syntax error at or near \"{{tables.b}}\"\n");
    free(found);
    found = messages_of("SELECT\n'open\nand open");
    assert_string_equal(found, "2:1 sql-syntax: unterminated quoted string at or near \"'open...\n");
    free(found);
}

static void a_script_of_psql_is_read_past_its_commands(void **state)
{
    (void)state;
    expect_script("\\set x 'it''s\n\\i other.sql\nSELECT 1 FROM a, {{tables.b}};\nSELECT :'x';\n", "3:15 bare-table",
                  NULL);
    expect_script("COPY {{tables.a}} (b) FROM stdin;\nit's data; SELECT\n\\.\nSELECT 1 FROM b;\n", "4:15 bare-table",
                  NULL);
}

static void a_file_without_templates_is_none_of_pgdbms(void **state)
{
    (void)state;
    expect_script("SET search_path = x; SELECT * FROM a, b.c; SELEKT", NULL);
    expect_migration(UP, "SELECT * FROM a", "1:15 bare-table", NULL);
}

static void a_later_version_is_no_syntax_error_and_not_checked(void **state)
{
    (void)state;
    expect_sql("SELECT * FROM (SELECT 1)", "1:15 not-checked", NULL);
    expect_sql("SELECT 1_000, 0xFF", "1:8 not-checked", NULL);
    expect_sql("SELECT '{}' IS JSON OBJECT;\nSELECT now() AT LOCAL", "1:16 not-checked", "2:17 not-checked", NULL);
    expect_sql("ALTER TABLE {{tables.a}} ALTER b SET EXPRESSION AS (c + 1); GRANT a TO b WITH INHERIT FALSE",
               "1:38 not-checked", "1:79 not-checked", NULL);
    expect_sql("SELECT * FROM JSON_TABLE($1, '$[*]' COLUMNS (a int PATH '$.a'))", "1:37 not-checked", NULL);
    expect_sql("MERGE INTO {{tables.a}} USING {{tables.b}} b ON b.id = a.id WHEN MATCHED THEN DELETE RETURNING *",
               "1:86 not-checked", NULL);
    expect_script("SELECT {{schema}}.f() IS JSON", NULL);
}

static void places_follow_the_pieces_of_a_literal(void **state)
{
    (void)state;
    const struct pgdbm__check_piece pieces[] = {{0, {10, 5}}, {7, {11, 9}}, {12, {20, 1}}};
    struct pgdbm__check_sql text = {
        .file = "a.c", .text = "SELECT 1 FROM\nb, c", .bytes = 18, .pieces = pieces, .n_pieces = 3};
    struct pgdbm__check_run *run = findings_begin();
    assert_true(pgdbm__check_read_sql(run, &text));
    char *found = findings_end(run);
    assert_string_equal(found, "21:1 bare-table: b has no template: write {{tables.b}}\n"
                               "21:4 bare-table: c has no template: write {{tables.c}}\n");
    free(found);
}

static void repeat(char *out, size_t bytes, const char *head, const char *part, const char *tail)
{
    size_t at = (size_t)snprintf(out, bytes, "%s", head);
    size_t length = strlen(part);
    for (; at + length + strlen(tail) < bytes; at += length)
        memcpy(out + at, part, length + 1);
    strcpy(out + at, tail);
}

/* A statement of a hundred thousand parts is read in a moment, not in the square of it. */
static void length_does_no_harm(void **state)
{
    (void)state;
    static const char *const parts[][3] = {
        {"WITH w AS (SELECT 1) SELECT * FROM w", ", w, t"},
        {"DROP TABLE t", ", t"},
        {"ALTER TABLE {{tables.a}} DROP b", ", DROP b"},
        {"ALTER TABLE {{tables.a}} ADD CHECK (b > 0)", ", ALTER b SET NOT NULL"},
        {"SELECT 1", ";\nWITH a AS (SELECT 1 FROM t) SELECT 1 FROM t"},
        {"SELECT 1", ";SELEKT"},
        {"SELECT 1", ";CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM t'"},
        {"SELECT 1", ";DO $$ BEGIN INSERT INTO a.t VALUES (1); END $$"},
        {"SELECT 1", ";CREATE TABLE {{tables.a}} (); DROP TABLE {{tables.b}}"},
        {"DO $$ BEGIN PERFORM 1;", "INSERT INTO t SELECT a.f(1) FROM u;", "END $$;"},
        {"DO $$ BEGIN PERFORM 1;", "EXECUTE 'DROP TABLE t';IF x THEN ALTER TABLE t ADD b app.c;END IF;", "END $$;"},
        {"DO $$ BEGIN INSERT INTO t SELECT 1", " + app.f(1) OPERATOR(app.+) nextval('a.b')", "; END $$;"},
        {"SELECT 1",
         ";CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql SET search_path = a AS 'BEGIN TRUNCATE b; END'"},
        {"DROP FUNCTION app.f", ", app.f(app.t)"},
        {"DO $$ BEGIN INSERT INTO t", " RETURNING (", "; END $$;"},
    };
    size_t bytes = 1000000;
    char *text = malloc(bytes);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct pgdbm__check_run *run = findings_begin();
        repeat(text, bytes, parts[i][0], parts[i][1], parts[i][2] != NULL ? parts[i][2] : ";");
        struct pgdbm__check_sql sql = {.file = UP, .text = text, .bytes = strlen(text), .migration = true};
        assert_true(pgdbm__check_read_sql(run, &sql));
        free(findings_end(run));
    }
    free(text);
}

static void depth_does_no_harm(void **state)
{
    (void)state;
    static const char *const parts[] = {
        "(", "[", "1+", "-", "NOT ", "::int", " UNION SELECT 1", " JOIN {{tables.a}} ON x", "CASE WHEN ", "/*", "{{"};
    size_t bytes = 1000000;
    char *text = malloc(bytes);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct pgdbm__check_run *run = findings_begin();
        repeat(text, bytes, i == 7 ? "SELECT * FROM {{tables.a}}" : "SELECT 1 ", parts[i], ";");
        struct pgdbm__check_sql sql = {
            .file = "a.c", .text = text, .bytes = strlen(text), .pieces = &first, .n_pieces = 1};
        assert_true(pgdbm__check_read_sql(run, &sql));
        free(findings_end(run));
    }
    free(text);
}

static void a_long_text_has_its_findings_in_place(void **state)
{
    (void)state;
    size_t lines = 60000;
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    for (size_t i = 0; i < lines; i++)
        fprintf(out, "INSERT INTO {{tables.a}} VALUES (%zu);\n", i);
    fputs("SELECT 1 FROM b;\nSELEKT;\nSELECT 1 FROM c;\nSELEKT;\n", out);
    fclose(out);
    struct pgdbm__check_sql sql = {.file = "a.c", .text = text, .bytes = bytes, .pieces = &first, .n_pieces = 1};
    struct pgdbm__check_run *run = findings_begin();
    assert_true(pgdbm__check_read_sql(run, &sql));
    char *found = findings_end(run);
    assert_string_equal(found, "60001:15 bare-table: b has no template: write {{tables.b}}\n"
                               "60002:1 sql-syntax: syntax error at or near \"SELEKT\"\n"
                               "60003:15 bare-table: c has no template: write {{tables.c}}\n"
                               "60004:1 sql-syntax: syntax error at or near \"SELEKT\"\n");
    free(found);
    free(text);
}

/* Rows of literals are passed over, and nothing but them. */
static void what_stands_among_rows_of_data_is_found(void **state)
{
    (void)state;
    expect_sql("INSERT INTO {{tables.a}} VALUES (1, 'x'), (2, E'\\'), ('), (3, now()), (-4.5e6, '{}'::jsonb)", NULL);
    expect_sql("INSERT INTO {{tables.a}} VALUES (1), (2), ((SELECT 1 FROM b)), (3)", "1:59 bare-table", NULL);
    expect_sql("INSERT INTO {{tables.a}} VALUES (1), (2) ON CONFLICT DO UPDATE SET n = (SELECT 1 FROM b)",
               "1:87 bare-table", NULL);
    expect_sql("INSERT INTO {{tables.a}} VALUES (1),\n  (2), -- (3)\n  (4);\nSELECT 1 FROM b", "4:15 bare-table", NULL);
    expect_sql("SELECT 'values (1), ('; SELECT 1 FROM b", "1:39 bare-table", NULL);
    expect_sql("SELECT $a$ values (1), ( $$ $a$ FROM b", "1:38 bare-table", NULL);
    expect_sql("SELECT \"values\" /* values (1), ( */ FROM b", "1:42 bare-table", NULL);
    expect_migration(UP, "INSERT INTO {{tables.a}} VALUES (1), (2), (3 4);", "1:46 sql-syntax", NULL);
    expect_migration(UP, "INSERT INTO {{tables.a}} VALUES (1), (2), ('x);", "1:44 sql-syntax", NULL);
    expect_migration(UP, "INSERT INTO {{tables.a}} VALUES (1), (2), (3),;", "1:47 sql-syntax", NULL);
    expect_migration(UP, "INSERT INTO {{tables.a}} VALUES (1), ($a$now());", "1:39 sql-syntax", NULL);
}

/* The parser is spared a statement of more than 8 MB; one that is long because of its data is none. */
static void a_statement_may_carry_much_data(void **state)
{
    (void)state;
    size_t bytes = 10000000;
    char *text = malloc(bytes);
    assert_non_null(text);
    repeat(text, bytes, "INSERT INTO {{tables.a}} VALUES (1, 'x')", ",\n(2, 'y')", " RETURNING (SELECT 1 FROM b);");
    struct pgdbm__check_sql sql = {.file = UP, .text = text, .bytes = strlen(text), .migration = true};
    struct pgdbm__check_run *run = findings_begin();
    assert_true(pgdbm__check_read_sql(run, &sql));
    char *found = findings_end(run);
    assert_string_equal(found, "999994:35 bare-table: b has no template: write {{tables.b}}\n");
    free(found);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_stands_among_rows_of_data_is_found),
        cmocka_unit_test(a_statement_may_carry_much_data),
        cmocka_unit_test(templated_tables_are_fine),
        cmocka_unit_test(a_bare_table_is_found_where_it_stands),
        cmocka_unit_test(a_schema_in_a_statement_is_found_where_it_stands),
        cmocka_unit_test(a_schema_of_what_is_no_table_is_found),
        cmocka_unit_test(what_others_bring_may_have_a_schema),
        cmocka_unit_test(what_the_files_make_in_public_is_no_extensions),
        cmocka_unit_test(the_way_out_is_that_of_the_kind),
        cmocka_unit_test(what_is_no_table_of_the_module_needs_no_template),
        cmocka_unit_test(a_temporary_table_needs_no_template),
        cmocka_unit_test(a_schema_of_an_extension_is_fine),
        cmocka_unit_test(a_table_with_and_without_template_names_the_other_place),
        cmocka_unit_test(the_template_of_the_same_file_is_named_before_that_of_another),
        cmocka_unit_test(a_temporary_table_of_another_text_is_known),
        cmocka_unit_test(threads_share_what_they_know),
        cmocka_unit_test(a_malformed_placeholder_is_found_and_no_syntax_error_beside_it),
        cmocka_unit_test(search_path_by_hand_is_found),
        cmocka_unit_test(a_function_may_have_a_path_of_its_own),
        cmocka_unit_test(a_body_in_sql_is_read),
        cmocka_unit_test(a_body_in_plpgsql_is_read_for_what_is_certain),
        cmocka_unit_test(statements_of_sql_in_a_body_are_read),
        cmocka_unit_test(what_may_be_something_else_in_a_body_is_left_alone),
        cmocka_unit_test(a_syntax_error_costs_one_statement),
        cmocka_unit_test(a_syntax_error_is_told_in_one_line_and_with_the_template),
        cmocka_unit_test(a_script_of_psql_is_read_past_its_commands),
        cmocka_unit_test(a_file_without_templates_is_none_of_pgdbms),
        cmocka_unit_test(a_later_version_is_no_syntax_error_and_not_checked),
        cmocka_unit_test(places_follow_the_pieces_of_a_literal),
        cmocka_unit_test(length_does_no_harm),
        cmocka_unit_test(depth_does_no_harm),
        cmocka_unit_test(a_long_text_has_its_findings_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
