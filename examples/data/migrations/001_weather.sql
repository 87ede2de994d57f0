-- Weather stations and what they have read.
CREATE TYPE {{schema}}.place AS (latitude float8, longitude float8);
CREATE TYPE {{schema}}.sky AS ENUM ('clear', 'cloudy', 'rain');

CREATE TABLE {{tables.stations}} (
    id int PRIMARY KEY,
    name text NOT NULL,
    stands {{schema}}.place NOT NULL,
    tags text[] NOT NULL,
    serves daterange NOT NULL
);

CREATE TABLE {{tables.readings}} (
    station int NOT NULL REFERENCES {{tables.stations}},
    at timestamptz NOT NULL,
    celsius numeric(4, 1) NOT NULL,
    sky {{schema}}.sky,
    PRIMARY KEY (station, at)
);
