CREATE TABLE {{tables.things}} (id int);
