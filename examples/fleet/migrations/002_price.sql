ALTER TABLE {{tables.products}} ADD COLUMN price numeric(10, 2);
