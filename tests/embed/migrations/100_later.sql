
-- [a; ${b} @c@ \nSELECT 1;

