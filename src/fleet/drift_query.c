/* SPDX-License-Identifier: MIT */
/* What makes the structure of a schema, as SQL. No state, any thread.
 *
 * The fingerprint is made of catalog columns. Functions that write definitions (pg_get_indexdef, pg_get_viewdef) open the
 * relation: for ten thousand schemas that takes minutes and gigabytes, and the locks of views do not fit into the lock table.
 * They are used for the few schemas that turn out to differ. Each object becomes a text, each text two hashes, and the sums of
 * the hashes are the fingerprint: nothing has to be sorted. Nothing is materialized either, so that parallel workers share the
 * catalogs. Object identifiers are as good as names below 16384 (they are the same in every database), and columns are known by
 * their numbers. */
#include "fleet/drift.h"

#include <string.h>

/* A schema's own name inside of function bodies, expressions and literals: quoted, or in front of a dot. */
#define ESCAPED(name) "pg_catalog.regexp_replace(" name ", '([^a-zA-Z0-9_])', '\\\\\\1', 'g')"

static const char relations[] =
    "), s AS NOT MATERIALIZED (SELECT n.oid, n.nspname::text AS name, quote_ident(n.nspname) || '.' AS prefix,"
    " CASE WHEN strpos(n.nspname, '\"') = 0 THEN n.nspname::text ELSE '' END AS mark,"
    " replace('(?<![.\\w$\"])(\"@\"|''@''|@(?=\\.))', '@', e.name) AS itself"
    " FROM pg_namespace n CROSS JOIN LATERAL (SELECT " ESCAPED(
        "n.nspname") " AS name) e"
                     " WHERE n.nspname IN (SELECT schema FROM f)),"
                     " r AS NOT MATERIALIZED (SELECT c.oid, c.relnamespace AS ns, c.relname AS name, c.relkind AS "
                     "kind, "
                     "c.relispartition,"
                     " c.relpartbound, concat_ws(' ', c.relpersistence, c.relrowsecurity, c.relforcerowsecurity, "
                     "c.reloptions) AS rest"
                     " FROM pg_class c JOIN s ON s.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', "
                     "'c', 'S')"
                     " AND c.relname NOT IN (";

/* Node trees have object identifiers, which are each schema's own, places in the text that they were parsed from, and values
 * of enums as the identifiers of their labels (in the server's byte order; the other one shows the bytes). */
#define ENUM_VALUE ":constvalue 4 \\[ (-?\\d+) (-?\\d+) (-?\\d+) (-?\\d+) "
#define ENUM_LABELS                                                                                                    \
    "(SELECT string_agg(coalesce(e.enumlabel, array_to_string(m.b, ' ')), ',' ORDER BY m.place)"                       \
    " FROM regexp_matches(w.ev_action::text, ':consttype \\d{5,} [^}]*" ENUM_VALUE "', 'g') WITH ORDINALITY"           \
    " m(b, place) LEFT JOIN pg_enum e ON e.oid = ((m.b[1]::bigint & 255) + (m.b[2]::bigint & 255) * 256"               \
    " + (m.b[3]::bigint & 255) * 65536 + (m.b[4]::bigint & 255) * 16777216)::oid)"
#define VIEW_REFERENCES                                                                                                \
    "(SELECT string_agg(concat_ws(' ', c.relname, p.proname, d.refobjsubid), ',' ORDER BY c.relname, p.proname,"       \
    " d.refobjsubid) FROM pg_depend d"                                                                                 \
    " LEFT JOIN pg_class c ON d.refclassid = 'pg_class'::regclass AND c.oid = d.refobjid"                              \
    " LEFT JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid"                                \
    " WHERE d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid)"
#define VIEW_TEXT                                                                                                      \
    "(SELECT string_agg(concat_ws(' ', regexp_replace(regexp_replace(regexp_replace(w.ev_action::text,"                \
    " ':(stmt_)?(location|len) -?\\d+', '', 'g'), '\\m\\d{5,}\\M', '#', 'g'), '(:consttype # [^}]*)" ENUM_VALUE        \
    "', '\\1', 'g'), " VIEW_REFERENCES ", " ENUM_LABELS "), ' ' ORDER BY w.rulename)"                                  \
    " FROM pg_rewrite w WHERE w.ev_class = r.oid)"

/* A name of the schema's own type or table stands in quotes, where it is taken off without a regular expression. Most texts
 * do not have the schema's name in them; one look for it (the mark) spares them both. A name with a quote in it is written in
 * more than one way: its mark is empty, which is in every text. */
static const char *const items[] = {
    ")), item(ns, text) AS ("
    "SELECT ns, concat_ws(' ', 'relation', name, kind, rest, CASE WHEN kind = 'p' THEN pg_get_partkeydef(oid) END,"
    " CASE WHEN relispartition THEN pg_get_expr(relpartbound, oid) END,"
    " CASE WHEN kind IN ('v', 'm') THEN " VIEW_TEXT " END) FROM r",
    " UNION ALL SELECT r.ns, concat_ws(' ', 'column', r.name, a.attname, a.attnum, CASE WHEN a.atttypid < 16384"
    " THEN a.atttypid::text ELSE '''' || format_type(a.atttypid, a.atttypmod) || '''' END, a.atttypmod, a.attnotnull,"
    " a.attidentity, a.attgenerated, CASE WHEN a.attcollation NOT IN (0, 100) THEN a.attcollation::regcollation::text"
    " END, pg_get_expr(d.adbin, CASE WHEN a.attgenerated = '' THEN 0 ELSE a.attrelid END))"
    " FROM r JOIN pg_attribute a ON a.attrelid = r.oid"
    " LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
    " WHERE r.kind <> 'S' AND a.attnum > 0 AND NOT a.attisdropped",
    " UNION ALL SELECT r.ns, concat_ws(' ', 'index', r.name, c.relname, c.relam, i.indisunique, i.indisprimary,"
    " i.indisvalid, i.nulls, i.indkey, i.indnkeyatts, CASE WHEN i.indclass::text ~ '[0-9]{5}' THEN"
    " (SELECT string_agg(o.opcname, ' ' ORDER BY u.place) FROM unnest(i.indclass::oid[]) WITH ORDINALITY u(oid, place)"
    " JOIN pg_opclass o ON o.oid = u.oid) ELSE i.indclass::text END, i.indoption, i.indcollation, c.reloptions,"
    " CASE WHEN i.indexprs IS NOT NULL THEN pg_get_expr(i.indexprs, i.indrelid) END,"
    " CASE WHEN i.indpred IS NOT NULL THEN 'WHERE ' || pg_get_expr(i.indpred, i.indrelid) END)"
    /* The column is a constant before version 15, where pg_index has none of this name. */
    " FROM (VALUES (false)) v(indnullsnotdistinct) CROSS JOIN LATERAL"
    " (SELECT i.indrelid, i.indexrelid, i.indisunique, i.indisprimary, i.indisvalid, i.indkey, i.indnkeyatts,"
    " i.indclass, i.indoption, i.indcollation, i.indexprs, i.indpred, indnullsnotdistinct AS nulls FROM pg_index i) i"
    " JOIN r ON r.oid = i.indrelid JOIN pg_class c ON c.oid = i.indexrelid",
    " UNION ALL SELECT r.ns, concat_ws(' ', 'constraint', r.name, k.conname, k.contype, k.condeferrable,"
    " k.condeferred, k.convalidated, k.connoinherit, k.conkey, CASE WHEN k.confrelid <> 0 THEN '''' ||"
    " k.confrelid::regclass || '''' END, k.confkey, k.confupdtype, k.confdeltype, k.confmatchtype, k.conexclop,"
    " CASE WHEN k.contype = 'c' THEN pg_get_expr(k.conbin, k.conrelid) END)"
    " FROM r JOIN pg_constraint k ON k.conrelid = r.oid WHERE k.contype NOT IN ('n', 't')",
    " UNION ALL SELECT r.ns, concat_ws(' ', 'sequence', r.name, q.seqtypid, q.seqstart, q.seqincrement, q.seqmax,"
    " q.seqmin, q.seqcache, q.seqcycle) FROM r JOIN pg_sequence q ON q.seqrelid = r.oid",
    " UNION ALL SELECT p.pronamespace, concat_ws(' ', 'function', p.proname,"
    " pg_get_function_identity_arguments(p.oid), CASE WHEN p.prokind = 'a' THEN (SELECT concat_ws(' ', g.aggtransfn,"
    " g.aggfinalfn, g.aggtranstype::regtype, g.agginitval, g.aggcombinefn, g.aggsortop) FROM pg_aggregate g"
    " WHERE g.aggfnoid = p.oid) ELSE pg_get_functiondef(p.oid) END)"
    " FROM s JOIN pg_proc p ON p.pronamespace = s.oid",
    " UNION ALL SELECT r.ns, concat_ws(' ', 'trigger', r.name, t.tgname, t.tgtype, t.tgenabled, t.tgattr,"
    " t.tgdeferrable, t.tginitdeferred, encode(t.tgargs, 'hex'), '''' || t.tgfoid::regproc || '''', t.tgoldtable,"
    " t.tgnewtable, CASE WHEN t.tgqual IS NOT NULL THEN pg_get_triggerdef(t.oid) END)"
    " FROM r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal",
    " UNION ALL SELECT t.typnamespace, concat_ws(' ', 'type', t.typname, t.typtype, t.typnotnull,"
    " CASE WHEN t.typtype = 'd' THEN '''' || format_type(t.typbasetype, t.typtypmod) || '''' END, t.typdefault,"
    " (SELECT string_agg(e.enumlabel, E'\\n' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid),"
    " (SELECT '''' || format_type(g.rngsubtype, NULL) || '''' FROM pg_range g WHERE g.rngtypid = t.oid),"
    " (SELECT string_agg(concat_ws(' ', k.conname, pg_get_constraintdef(k.oid)), E'\\n' ORDER BY k.conname)"
    " FROM pg_constraint k WHERE k.contypid = t.oid))"
    " FROM s JOIN pg_type t ON t.typnamespace = s.oid WHERE t.typtype IN ('e', 'd', 'r')",
    " UNION ALL SELECT r.ns, concat_ws(' ', 'policy', r.name, o.polname, o.polcmd, o.polpermissive,"
    " (SELECT string_agg(a.rolname, ',' ORDER BY a.rolname) FROM pg_roles a WHERE a.oid = ANY (o.polroles)),"
    " 'USING ' || pg_get_expr(o.polqual, o.polrelid), 'CHECK ' || pg_get_expr(o.polwithcheck, o.polrelid))"
    " FROM r JOIN pg_policy o ON o.polrelid = r.oid",
    /* OFFSET 0: each expression is computed once, and not in every place that uses it. */
    "), text AS (SELECT s.name, CASE WHEN strpos(i.text, s.mark) = 0 THEN i.text"
    " ELSE regexp_replace(replace(i.text, '''' || s.prefix, ''''), s.itself, '?', 'g') END AS text"
    " FROM s LEFT JOIN item i ON i.ns = s.oid OFFSET 0), print AS (SELECT name,"
    " md5(concat(sum(hashtextextended(text, 0)), ',', sum(hashtextextended(text, 1)))) AS print FROM text GROUP BY "
    "name)"
    " SELECT name, print, count(*) OVER (PARTITION BY print) FROM print ORDER BY name COLLATE \"C\""};

void pgdbm__drift_append_fingerprints(const pgdbm_fleet *fleet, const char *reference, struct pgdbm__buffer *sql)
{
    static const char *const suffixes[] = {"", "_progress", "_id_seq"};
    pgdbm__buffer_text(sql, "WITH f AS (SELECT schema FROM (");
    pgdbm__fleet_append_selection(fleet, sql);
    pgdbm__buffer_text(sql, "\n) selection");
    if (reference != NULL) {
        pgdbm__buffer_text(sql, " UNION ALL SELECT ");
        pgdbm__fleet_literal(sql, reference);
    }
    pgdbm__buffer_text(sql, relations);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        struct pgdbm__buffer name = {0};
        pgdbm__buffer_format(&name, "%s%s", fleet->table, suffixes[i]);
        pgdbm__buffer_text(sql, i > 0 ? ", " : "");
        if (name.failed)
            sql->failed = true;
        else
            pgdbm__quote_literal(sql, name.data, name.length);
        pgdbm__buffer_free(&name);
    }
    for (size_t i = 0; i < sizeof items / sizeof *items; i++)
        pgdbm__buffer_text(sql, items[i]);
    pgdbm__buffer_append(sql, "", 1);
}

static const char *const objects[] = {
    "WITH r AS (SELECT c.oid, c.relname AS name, c.relkind AS kind, c.relpersistence, c.relrowsecurity,"
    " c.relforcerowsecurity, c.reloptions, c.relispartition, c.relpartbound, CASE c.relkind WHEN 'v' THEN 'view'"
    " WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'type'"
    " ELSE 'table' END || ' ' || c.relname AS object FROM pg_class c WHERE c.relnamespace = (SELECT oid FROM "
    "pg_namespace WHERE nspname = $1::text)"
    " AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c', 'S') AND c.relname <> ALL ($2::text[])),"
    " object(object, part_of, definition) AS ("
    "SELECT object, (SELECT format('column %s.%s', c.relname, a.attname) FROM pg_depend d JOIN pg_class c"
    " ON c.oid = d.refobjid JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid"
    " WHERE r.kind = 'S' AND d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.objsubid = 0"
    " AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') LIMIT 1),"
    " concat_ws(' ', CASE relpersistence WHEN 'u' THEN 'unlogged' WHEN 't' THEN 'temporary' END,"
    " CASE WHEN kind NOT IN ('v', 'm') THEN split_part(object, ' ', 1) END,"
    " CASE WHEN relrowsecurity THEN 'with row security' END, CASE WHEN relforcerowsecurity THEN 'forced' END,"
    " 'with ' || reloptions::text, CASE WHEN kind = 'p' THEN 'partitioned by ' || pg_get_partkeydef(oid) END,"
    " CASE WHEN relispartition THEN pg_get_expr(relpartbound, oid) END,"
    " CASE WHEN kind IN ('v', 'm') THEN pg_get_viewdef(oid, true) END,"
    " (SELECT format('as %s start %s increment %s minimum %s maximum %s cache %s%s', format_type(q.seqtypid, NULL),"
    " q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcache, CASE WHEN q.seqcycle THEN ' cycle' END)"
    " FROM pg_sequence q WHERE q.seqrelid = oid)) FROM r",
    " UNION ALL SELECT format('column %s.%s', r.name, a.attname), r.object, concat_ws(' ',"
    " format_type(a.atttypid, a.atttypmod), CASE WHEN a.attcollation NOT IN (0, 100) THEN 'collate ' ||"
    " a.attcollation::regcollation END, CASE WHEN a.attnotnull THEN 'not null' END,"
    " CASE a.attidentity WHEN 'a' THEN 'generated always as identity' WHEN 'd' THEN 'generated by default as identity'"
    " END, CASE WHEN a.attgenerated = '' THEN 'default ' ELSE 'generated always as ' END"
    " || pg_get_expr(d.adbin, d.adrelid)) FROM r JOIN pg_attribute a ON a.attrelid = r.oid LEFT JOIN pg_attrdef d"
    " ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE r.kind NOT IN ('S', 'v', 'm') AND a.attnum > 0"
    " AND NOT a.attisdropped"
    /* What a constraint made is told with the constraint. */
    " UNION ALL SELECT 'index ' || c.relname, CASE WHEN k.oid IS NULL THEN r.object ELSE"
    " format('constraint %s.%s', r.name, k.conname) END, CASE WHEN k.oid IS NULL THEN pg_get_indexdef(c.oid, 0, true)"
    " ELSE 'of a constraint' END || CASE WHEN i.indisvalid THEN '' ELSE ' (invalid)' END"
    " FROM r JOIN pg_index i ON i.indrelid = r.oid JOIN pg_class c ON c.oid = i.indexrelid"
    " LEFT JOIN pg_constraint k ON k.conindid = c.oid AND k.contype IN ('p', 'u', 'x')",
    " UNION ALL SELECT format('constraint %s.%s', r.name, k.conname), r.object, pg_get_constraintdef(k.oid, true)"
    " FROM r JOIN pg_constraint k ON k.conrelid = r.oid WHERE k.contype NOT IN ('n', 't')",
    " UNION ALL SELECT format('%s %s(%s)', CASE p.prokind WHEN 'a' THEN 'aggregate' WHEN 'p' THEN 'procedure'"
    " ELSE 'function' END, p.proname, pg_get_function_identity_arguments(p.oid)), NULL, CASE WHEN p.prokind = 'a' THEN"
    " (SELECT concat_ws(' ', g.aggtransfn, g.aggfinalfn, g.aggtranstype::regtype, g.agginitval, g.aggcombinefn,"
    " g.aggsortop) FROM pg_aggregate g WHERE g.aggfnoid = p.oid) ELSE pg_get_functiondef(p.oid) END"
    " FROM pg_proc p WHERE p.pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1::text)",
    " UNION ALL SELECT format('trigger %s.%s', r.name, t.tgname), r.object, pg_get_triggerdef(t.oid, true)"
    " || CASE t.tgenabled WHEN 'O' THEN '' WHEN 'D' THEN ' (disabled)' WHEN 'R' THEN ' (on replicas)' ELSE ' (always)'"
    " END FROM r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal",
    " UNION ALL SELECT 'type ' || t.typname, NULL, CASE t.typtype WHEN 'e' THEN (SELECT 'enum (' ||"
    " string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) || ')' FROM pg_enum e"
    " WHERE e.enumtypid = t.oid) WHEN 'r' THEN (SELECT 'range of ' || format_type(g.rngsubtype, NULL) FROM pg_range g"
    " WHERE g.rngtypid = t.oid) ELSE concat_ws(' ', format_type(t.typbasetype, t.typtypmod), CASE WHEN t.typnotnull"
    " THEN 'not null' END, 'default ' || t.typdefault, (SELECT string_agg(concat_ws(' ', k.conname,"
    " pg_get_constraintdef(k.oid)), ' ' ORDER BY k.conname) FROM pg_constraint k WHERE k.contypid = t.oid)) END"
    " FROM pg_type t WHERE t.typnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1::text) AND t.typtype IN "
    "('e', 'd', 'r')",
    " UNION ALL SELECT format('policy %s.%s', r.name, o.polname), r.object, concat_ws(' ', 'for',"
    " CASE o.polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update' WHEN 'd' THEN 'delete'"
    " ELSE 'all' END, CASE WHEN NOT o.polpermissive THEN 'restrictive' END, 'to ' || (SELECT string_agg(a.rolname, ', '"
    " ORDER BY a.rolname) FROM pg_roles a WHERE a.oid = ANY (o.polroles)), 'using ' || pg_get_expr(o.polqual,"
    " o.polrelid), 'with check ' || pg_get_expr(o.polwithcheck, o.polrelid)) FROM r JOIN pg_policy o"
    " ON o.polrelid = r.oid)",
    /* Off where it qualifies; a placeholder where it is meant itself. */
    " SELECT object, part_of, regexp_replace(regexp_replace(definition, replace('(?<![.\\w$\"])(\"@\"|@)\\.', '@',"
    " e.name), '', 'g'), '([\"''])' || e.name || '\\1', '{{schema}}', 'g') FROM object"
    " CROSS JOIN (SELECT " ESCAPED("$1::text") " AS name) e ORDER BY object COLLATE \"C\""};

void pgdbm__drift_append_objects(struct pgdbm__buffer *sql)
{
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        pgdbm__buffer_text(sql, objects[i]);
    pgdbm__buffer_append(sql, "", 1);
}
