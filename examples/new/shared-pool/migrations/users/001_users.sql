-- Tables are written as templates: the manager says which schema they are in.
CREATE TABLE {{tables.users}} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL UNIQUE
);

-- pgdbm:down
DROP TABLE {{tables.users}};
