CREATE VIEW {{tables.v}} AS SELECT 1;
