-- SPDX-License-Identifier: MIT
CREATE TABLE {{tables.entries}} (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action     text NOT NULL,
    subject_id bigint NOT NULL,
    at         timestamptz NOT NULL DEFAULT now()
);
