-- pgdbm:lock-timeout off
DO $$ <<l>> DECLARE r record; BEGIN
  IF NOT EXISTS (SELECT FROM a) THEN ALTER TABLE {{tables.a}} ADD b app.mood DEFAULT app.f('app.s'::regclass); END IF;
  INSERT INTO a SELECT 1 RETURNING x INTO r; PERFORM app.f(1); RETURN QUERY SELECT nextval('app.seq');
  EXECUTE 'DROP TABLE {{tables.a}}'; EXECUTE format('CREATE TEMP TABLE t AS %s', q); EXECUTE format($q$ DELETE FROM b $q$) USING a;
  CREATE FUNCTION public.g() RETURNS trigger LANGUAGE plpgsql SET search_path = a AS 'BEGIN DELETE FROM c USING d; END';
EXCEPTION WHEN others THEN DROP FUNCTION app.f(app.t%TYPE), "A".g; COMMENT ON CONSTRAINT c ON DOMAIN app.x IS 'x';
END $$;
CREATE SEQUENCE {{schema}}.s OWNED BY app.a.b; SELECT 1 OPERATOR(app.+) 2 COLLATE app.c IS JSON;
