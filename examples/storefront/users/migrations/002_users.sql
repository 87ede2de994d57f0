-- SPDX-License-Identifier: MIT
CREATE TABLE {{tables.users}} (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email         text NOT NULL UNIQUE,
    country       text NOT NULL REFERENCES {{tables.countries}} (code),
    time_zone     text NOT NULL REFERENCES {{tables.time_zones}} (name),
    registered_at timestamptz NOT NULL DEFAULT now()
);
