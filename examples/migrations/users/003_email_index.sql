-- pgdbm:no-transaction
CREATE UNIQUE INDEX CONCURRENTLY users_email ON {{tables.users}} (email);

-- pgdbm:down
DROP INDEX {{schema}}.users_email;
