-- Things that correct migrations have.
CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;
SET client_min_messages = warning;
SET LOCAL statement_timeout = '5min';
DO $$ BEGIN
    CREATE TYPE {{schema}}.status AS ENUM ('new', 'done');
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
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
