-- SPDX-License-Identifier: MIT
CREATE TABLE {{tables.jobs}} (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id bigint NOT NULL,
    done_at  timestamptz
);

CREATE INDEX jobs_open ON {{tables.jobs}} (id) WHERE done_at IS NULL;

-- One line for each time a job was done. There is no unique constraint on job_id on purpose: it would hide the mistake
-- that the storefront counts, a job done twice.
CREATE TABLE {{tables.receipts}} (
    job_id  bigint NOT NULL REFERENCES {{tables.jobs}} (id),
    done_at timestamptz NOT NULL DEFAULT now()
);
