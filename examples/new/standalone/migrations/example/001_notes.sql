-- Tables are written as templates: the manager says which schema they are in.
CREATE TABLE {{tables.notes}} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text text NOT NULL CHECK (text <> ''),
    noted_at timestamptz NOT NULL DEFAULT now()
);

-- pgdbm:down
DROP TABLE {{tables.notes}};
