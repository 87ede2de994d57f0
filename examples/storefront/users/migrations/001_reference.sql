-- SPDX-License-Identifier: MIT
-- What the world's countries and time zones are called (ISO 3166 and the tz database).
CREATE TABLE {{tables.countries}} (
    code text PRIMARY KEY CHECK (code ~ '^[A-Z]{2}$'),
    name text NOT NULL
);

CREATE TABLE {{tables.time_zones}} (
    name        text PRIMARY KEY,
    coordinates text NOT NULL,
    comments    text
);

CREATE TABLE {{tables.time_zone_countries}} (
    time_zone text NOT NULL REFERENCES {{tables.time_zones}} (name),
    country   text NOT NULL REFERENCES {{tables.countries}} (code),
    PRIMARY KEY (time_zone, country)
);
