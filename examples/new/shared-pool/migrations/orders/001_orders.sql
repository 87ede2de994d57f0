-- The user's number is that of the service `users`. There is no foreign key: its tables are its own.
CREATE TABLE {{tables.orders}} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL,
    article text NOT NULL CHECK (article <> '')
);
CREATE INDEX orders_user_id ON {{tables.orders}} (user_id);

-- pgdbm:down
DROP TABLE {{tables.orders}};
