CREATE OR REPLACE VIEW {{tables.addresses}} AS SELECT id, lower(email) AS address FROM {{tables.users}};
