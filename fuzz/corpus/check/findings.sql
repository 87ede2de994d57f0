-- pgdbm:lock-timeout off
SET search_path = app; SELECT * FROM users, app.t, {{tables.x}}, {{bad}};
ALTER TABLE {{tables.a}} ADD b uuid NOT NULL DEFAULT gen_random_uuid(), ADD CHECK (b > 0), ALTER c TYPE int, ALTER d SET NOT NULL;
DO $$ BEGIN SET search_path = x; INSERT INTO app.t VALUES (1); END $$; VACUUM; SELEKT; BEGIN;
-- pgdbm:down
DROP TABLE users; REINDEX TABLE CONCURRENTLY x;
