-- What PostgreSQL's lexical rules hold in store (its documentation, 4.1). Read by tests/sql/postgres.c only, never run.
SELECT 'a', 'it''s', '', '''', 'two
lines', 'back\slash', 'a' ; SELECT 'joined'
   'over'

  'lines', 'not' AS joined;
SELECT E'\'', E'\\', e'\n\t\x41\u0041\U00000041\101', E'''', E'\\''; still', E'a'
  '\'b';
SELECT U&'d\0061t\+000061', U&'d!0061t!+000061' UESCAPE '!', u&'it''s', U&"d\0061t\+000061", u&"a" UESCAPE '*', U & 1;
SELECT B'1001', b'', X'1FF', x'ab', N'national', n'it''s', B'10'
  '01';
SELECT "a", "a""b", "a;b", "--", "/*", "U&", """", "ä";
SELECT $$a$$, $$it's; "quoted" -- not a comment$$, $a$ $$ $b$ $ $a$, $a1$ $a$ $a1$, $_$ $ $_$, $ä$ $$ $ä$, $$
two lines
$$, $A$ $a$ $A$;
SELECT a$b, a$b$c, $1, $12, $1+$2, x$$, ä, été, _a, a1, A1;
SELECT 1, 42, 3.5, 4., .001, 5e2, 1.925e-3, 5E+2, 1.e3, .5e1, 1., .5, 100000000000000000000;
SELECT a[1:2], a[1 : 2], a [:2], a[1:], b.c, b . c, (d).e, (f()).*, t.*;
SELECT a :: int, a::int, a::"b"::c, f(a := 1), f(a:=-1), f(a := @1), f(a => 1), f(a =>-1);
SELECT 1+2, 1 + -2, 1+-2, 1 - - 2, -1, - 1, +1, 1*-1, 1 <-1, 1<=-1, 1<>-1, 1!=-1, a=-1, 2^-1, 2%-1, 2 % -1, @-5, ~-1, !!1, 1@-1;
SELECT a->b, a->>b, a#>b, a#>>b, a@>b, a<@b, a?b, a?|b, a?&b, a||b, a-b, a #- b, a @? b, a @@ b, a->-1, a->>-1, a?-1;
SELECT a&&b, a&<b, a&>b, a<<|b, a|>>b, a&<|b, a|&>b, a<->b, a<#>b, a@b, a~b, a~*b, a!~b, a!~*b, a~~b, a~~*b, a!~~b, a^@b, a<%b, a%>b, a<<%b, a*<>b;
SELECT 1/*a*/+/*b*/2, 1+/*a*/-2, 1 */* c */2, 1--2
, 3---4
, 5 /* a /* nested */ comment */ , 6 /* /* /* */ */ */, 7 /* ' " $$ */, 8 /*/ */, 9 /**/, 10 /***/, 11 /* * / */, 12 /*-- */
, 13 -- /* 
, 14 -- */ '
;
SELECT a<--b
b, c @-- d
e, f@/* g */h, i+-/* j */k, l/-m;
SELECT 'a'/* no line break */;SELECT 'b' --
;SELECT OPERATOR(pg_catalog.+) 1, a OPERATOR(s.@@-) b;
SELECT a AS select, b "AS", c AS "select", 1 end, CASE WHEN a THEN b ELSE c END end;
;;SELECT 1;;;SELECT 2;
SELECT	1	,
2,3;
SELECT '{"a": ";"}'::jsonb -> 'a', '{}'::jsonb ?| ARRAY['a;b', 'c'], jsonb '{"a":1}' @> '{}';
