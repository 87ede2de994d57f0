-- What correct migrations have, and what none of the rules may speak of. Parsed only, never run.
CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;
SET client_min_messages = warning;
SET LOCAL statement_timeout = '5min';
DO $$ BEGIN
    CREATE TYPE {{schema}}.status AS ENUM ('new', 'done');
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
DO $$
<<outer_block>>
DECLARE
    users record; comment text := 'x;'; n int;
BEGIN
    IF NOT EXISTS (SELECT FROM information_schema.columns WHERE table_name = 'a' AND column_name = 'b') THEN
        ALTER TABLE {{tables.used}} ADD COLUMN b text; -- ; DROP TABLE x;
        COMMENT ON COLUMN {{tables.used}}.b IS 'it''s; done';
    END IF;
    CREATE TEMP TABLE scratch ON COMMIT DROP AS SELECT 1 AS id;
    INSERT INTO scratch SELECT CASE WHEN n > 1 THEN 2 ELSE 3 END RETURNING id INTO n;
    FOR users IN DELETE FROM scratch RETURNING id LOOP
        UPDATE {{tables.used}} SET b = users.id WHERE id = users.id;
        EXECUTE format('ALTER TABLE %I DROP COLUMN c', users.id); EXECUTE 'DROP TABLE ' || users.id;
    END LOOP;
    SELECT count(*) INTO users FROM {{tables.used}}; comment := 'y'; comment = CASE n WHEN 1 THEN 'DROP' ELSE comment END;
    IF to_regtype('{{schema}}.status') IS NULL THEN CREATE TYPE {{schema}}.status AS ENUM ('new', 'done'); END IF;
    PERFORM public.uuid_generate_v4(), 'x'::public.citext; EXECUTE 'ANALYZE {{tables.used}}';
EXCEPTION WHEN duplicate_column OR undefined_table THEN RAISE NOTICE 'DELETE FROM x; %', SQLERRM; DROP TABLE IF EXISTS scratch;
END outer_block $$;
CREATE TABLE IF NOT EXISTS {{tables.a}} (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    s {{schema}}.status NOT NULL DEFAULT 'new',
    parent uuid REFERENCES {{tables.a}} (id) DEFERRABLE INITIALLY DEFERRED,
    d tstzrange, EXCLUDE USING gist (d WITH &&),
    search tsvector GENERATED ALWAYS AS (to_tsvector('english'::regconfig, s::text)) STORED
) PARTITION BY RANGE (id);
CREATE TABLE {{tables.a_1}} PARTITION OF {{tables.a}} FOR VALUES FROM (MINVALUE) TO (MAXVALUE);
CREATE SEQUENCE IF NOT EXISTS {{tables.a_seq}} OWNED BY {{tables.a}}.id;
CREATE UNIQUE INDEX a_s ON {{tables.a}} USING btree (s, lower(s::text) DESC NULLS LAST) INCLUDE (id) WHERE s <> 'done';
CREATE OR REPLACE FUNCTION {{schema}}.touch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{schema}}, pg_temp AS $body$
DECLARE
    r record;
    old_value {{tables.a}}.s%TYPE;
    n int := 0;
BEGIN
    FOR r IN SELECT a.*, b.x FROM {{tables.a}} a, LATERAL unnest(a.arr) WITH ORDINALITY AS b(x, i) LOOP
        n := n + coalesce(r.x, 0);
        SELECT r.x INTO r.y FROM {{tables.a}} WHERE id = r.id;
        GET DIAGNOSTICS n = ROW_COUNT;
        EXECUTE format('UPDATE %I.%I SET x = 1', TG_TABLE_SCHEMA, TG_TABLE_NAME);
        UPDATE {{tables.a}} SET s = CASE WHEN NEW.s IS DISTINCT FROM OLD.s THEN 'done' ELSE s END WHERE id = r.id;
        PERFORM set_config('app.user', r.x::text, true);
        INSERT INTO changes SELECT * FROM inserted;
        RETURN QUERY SELECT extract(epoch FROM r.made), substring(r.name FROM r.pos), trim(LEADING 'x' FROM r.name), overlay(r.a PLACING 'x' FROM r.b);
        RETURN QUERY SELECT x FROM jsonb_array_elements(NEW.doc) AS e(x) WHERE position('a' IN r.b) > 0;
    END LOOP;
    DELETE FROM {{tables.a}} USING {{tables.b}} b WHERE b.id = a.id;
    IF EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relname = 'x') THEN RETURN NULL; END IF;
    RETURN NEW;
END
$body$;
DROP TRIGGER IF EXISTS touch ON {{tables.a}};
CREATE TRIGGER touch AFTER INSERT ON {{tables.a}} REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION {{schema}}.touch();
ALTER TABLE {{tables.a}} ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON {{tables.a}} USING (s = current_setting('app.s')::{{schema}}.status);
DROP POLICY IF EXISTS p ON {{tables.a}};
CREATE VIEW {{tables.v}} AS WITH x AS MATERIALIZED (SELECT * FROM {{tables.a}}) SELECT * FROM x;
CREATE OR REPLACE RULE r AS ON INSERT TO {{tables.v}} DO INSTEAD INSERT INTO {{tables.a}} SELECT NEW.*;
CREATE MATERIALIZED VIEW {{tables.m}} AS SELECT 1 AS a WITH NO DATA;
REFRESH MATERIALIZED VIEW {{tables.m}};
COMMENT ON TABLE {{tables.a}} IS 'it''s {{schema}}';
COMMENT ON COLUMN {{tables.a}}.s IS 'x';
COMMENT ON CONSTRAINT c ON {{tables.a}} IS 'x';
COMMENT ON FUNCTION {{schema}}.touch() IS 'x';
COMMENT ON TYPE {{schema}}.status IS 'x'; COMMENT ON SCHEMA {{schema}} IS 'x'; COMMENT ON EXTENSION pgcrypto IS 'x';
GRANT SELECT ON {{tables.a}} TO PUBLIC; GRANT USAGE ON SCHEMA {{schema}} TO PUBLIC; GRANT SELECT ON ALL TABLES IN SCHEMA {{schema}} TO PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA {{schema}} GRANT SELECT ON TABLES TO PUBLIC;
INSERT INTO {{tables.a}} AS t (s) VALUES ('new') ON CONFLICT ON CONSTRAINT a_pkey DO UPDATE SET s = excluded.s WHERE t.s <> excluded.s RETURNING t.id;
WITH moved AS (DELETE FROM {{tables.a}} RETURNING *) INSERT INTO {{tables.b}} SELECT * FROM moved;
WITH RECURSIVE tree AS (SELECT id FROM {{tables.a}} UNION ALL SELECT a.id FROM {{tables.a}} a JOIN tree ON tree.id = a.parent) SEARCH DEPTH FIRST BY id SET o SELECT * FROM tree;
UPDATE {{tables.a}} SET s = 'done' FROM (VALUES ('x')) v(s);
LOCK TABLE {{tables.a}} IN SHARE MODE;
TRUNCATE {{tables.a}} CASCADE;
SELECT setval('{{tables.a_seq}}', 1); SELECT setval(pg_get_serial_sequence('{{tables.a}}', 'id'), max(1)) FROM {{tables.a}};
COPY {{tables.a}} TO '/x'; ANALYZE {{tables.a}}; SELECT * FROM pg_stat_statements; SELECT * FROM ROWS FROM (generate_series(1,2), generate_series(1,2)) AS z;
CREATE STATISTICS {{schema}}.st ON a, b FROM {{tables.a}};
CREATE PUBLICATION p FOR TABLE {{tables.a}};
CREATE DOMAIN {{schema}}.email AS text CHECK (VALUE ~ '@'); CREATE AGGREGATE {{schema}}.agg (int) (sfunc = int4pl, stype = int);
CREATE OPERATOR {{schema}}.=== (leftarg = int, rightarg = int, function = int4eq); CREATE CAST (text AS {{schema}}.email) WITHOUT FUNCTION;
SECURITY LABEL ON TABLE {{tables.a}} IS 'x'; CREATE COLLATION {{schema}}.c (locale = 'C'); CREATE TEXT SEARCH CONFIGURATION {{schema}}.c (COPY = english);
CREATE SERVER s FOREIGN DATA WRAPPER f; CREATE FOREIGN TABLE {{tables.f}} (a int) SERVER s OPTIONS (schema_name 'x', table_name 'y');
IMPORT FOREIGN SCHEMA x LIMIT TO (t) FROM SERVER s INTO {{schema}};
SELECT create_hypertable('{{tables.a}}', 'd'); SELECT * FROM timescaledb_information.jobs; SELECT cron.schedule('x', '* * * * *', 'SELECT 1');
ALTER TYPE {{schema}}.status ADD VALUE IF NOT EXISTS 'x'; ALTER TYPE {{schema}}.status RENAME TO other; ALTER FUNCTION {{schema}}.touch() OWNER TO me;
ALTER TABLE IF EXISTS ONLY {{tables.a}} ATTACH PARTITION {{tables.a_2}} FOR VALUES IN (1); ALTER INDEX {{schema}}.a_s ATTACH PARTITION {{schema}}.a_s2;
ALTER SEQUENCE {{tables.a_seq}} RESTART; ALTER VIEW {{tables.v}} SET (security_barrier); NOTIFY x; CHECKPOINT; 
CREATE PROCEDURE {{schema}}.p(a int) LANGUAGE sql AS $$ INSERT INTO {{tables.a}} VALUES (a); $$; CALL {{schema}}.p(1);
CREATE FUNCTION {{schema}}.g(u {{tables.a}}) RETURNS SETOF {{tables.a}} LANGUAGE sql STABLE AS $$ SELECT * FROM {{tables.a}} WHERE id = u.id $$;
CREATE FUNCTION {{schema}}.h(t text) RETURNS TABLE (a int) LANGUAGE sql AS 'SELECT 1 FROM {{tables.a}} WHERE s = ''x''';
SELECT 'a'
    'b' IS NULL; SELECT U&'\0041', E'\\x', B'1', X'1F', $q$ {{schema}} $q$, 1e5, ARRAY[[1,2],[3,4]], '{1,2}'::int[], ROW(1,2), (1).f;
EXPLAIN (ANALYZE, FORMAT json) SELECT 1;
-- Changes of tables that are in use, as they are done without harm.
ALTER TABLE {{tables.used}} ADD note text, ADD state int NOT NULL DEFAULT 0, ADD seen timestamptz DEFAULT now(), ADD owner bigint REFERENCES {{tables.users}};
ALTER TABLE {{tables.used}} ADD CONSTRAINT positive CHECK (state >= 0) NOT VALID, ALTER note SET DEFAULT '', ALTER name DROP NOT NULL;
ALTER TABLE {{tables.other}} VALIDATE CONSTRAINT there;
ALTER TABLE {{tables.other}} ALTER name SET NOT NULL, DROP CONSTRAINT there, ALTER name TYPE varchar(80);
ALTER TABLE {{tables.other}} ADD CONSTRAINT one UNIQUE USING INDEX other_name;
UPDATE {{tables.used}} SET state = 1 WHERE id BETWEEN 1 AND 1000;
CREATE INDEX used_state ON ONLY {{tables.used}} (state);
DROP VIEW IF EXISTS {{tables.old_view}}; DROP FUNCTION IF EXISTS {{schema}}.old(); DROP INDEX {{schema}}.old_index; DROP SEQUENCE {{tables.old_seq}};
ALTER INDEX {{schema}}.a_s RENAME TO a_state; ALTER TABLE {{tables.used}} RENAME CONSTRAINT x TO y; ALTER TABLE {{tables.used}} SET (fillfactor = 90);
ALTER TABLE {{tables.used}} DETACH PARTITION {{tables.used_1}}; ALTER TABLE {{tables.used}} DISABLE TRIGGER USER, REPLICA IDENTITY FULL, CLUSTER ON i;
SET LOCAL lock_timeout = '1s'; LOCK TABLE {{tables.used}}; RESET lock_timeout;
-- pgdbm:down
ALTER TABLE {{tables.used}} DROP note, DROP state, DROP seen, DROP owner;
ALTER TABLE {{tables.used}} RENAME CONSTRAINT y TO x; ALTER TABLE {{tables.a}} RENAME COLUMN s TO state;
DROP TABLE IF EXISTS {{tables.a}}, {{tables.b}} CASCADE; DROP SCHEMA {{schema}};
