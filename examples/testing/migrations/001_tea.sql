CREATE TABLE {{tables.articles}} (
    id bigserial PRIMARY KEY,
    name text NOT NULL UNIQUE,
    cents int NOT NULL CHECK (cents > 0),
    stock int NOT NULL CHECK (stock >= 0)
);

CREATE TABLE {{tables.sales}} (
    id bigserial PRIMARY KEY,
    article bigint NOT NULL REFERENCES {{tables.articles}},
    cups int NOT NULL
);
