-- pgdbm:lock-timeout 5s
ALTER TABLE {{tables.users}} ADD COLUMN name text;

-- pgdbm:down
ALTER TABLE {{tables.users}} DROP COLUMN name;
