-- pgdbm:requires users >= 2
CREATE TABLE {{tables.orders}} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES {{tables.shop_users.users}} (id)
);
