-- Publishing takes the next number from the one row of `counter`, whose lock it keeps until the commit. So numbers are in
-- the order of commits, and whoever has read up to a number has missed none below it. A sequence could not promise that.
CREATE TABLE {{tables.counter}} (
    last bigint NOT NULL
);
INSERT INTO {{tables.counter}} VALUES (0);

CREATE TABLE {{tables.events}} (
    id bigint PRIMARY KEY,
    text text NOT NULL CHECK (octet_length(text) <= 1000 AND text !~ '[\n\r]'),
    published_at timestamptz NOT NULL DEFAULT now()
);

-- Whoever publishes, by whatever program, notifies, and with the commit. The payload says nothing: listeners read the table.
CREATE FUNCTION {{schema}}.notify_published() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify(TG_TABLE_SCHEMA || '.published', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER published AFTER INSERT ON {{tables.events}} FOR EACH STATEMENT
    EXECUTE FUNCTION {{schema}}.notify_published();
