-- SPDX-License-Identifier: MIT
-- customer_id belongs to another service: a number here, no foreign key.
CREATE TABLE {{tables.orders}} (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id  bigint NOT NULL,
    amount_cents bigint NOT NULL CHECK (amount_cents > 0),
    placed_at    timestamptz NOT NULL DEFAULT now()
);
