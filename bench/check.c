/* SPDX-License-Identifier: MIT */
/* How fast `pgdbm check` reads SQL: files of tables, indexes, data, queries and functions, as programs have them. */
#include "bench.h"

#include "check/check.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES = 120000, LINE_ROWS = 6 };

struct pgdbm__check_run {
    size_t findings;
};

bool pgdbm__check_add(struct pgdbm__check_run *run, const struct pgdbm__check_rule *rule, const char *file,
                      struct pgdbm__check_place place, const char *format, ...)
{
    (void)rule, (void)file, (void)place, (void)format;
    run->findings++;
    return true;
}

bool pgdbm__check_add_remark(struct pgdbm__check_run *run, const char *file, struct pgdbm__check_place place,
                             const char *why)
{
    (void)run, (void)file, (void)place, (void)why;
    return true;
}

static void write_data(FILE *out, int number)
{
    fprintf(out, "INSERT INTO {{tables.users}} (email, name, balance, created_at) VALUES\n");
    for (int row = 0; row < LINE_ROWS; row++)
        fprintf(out, "    ('user%d@example.com', 'Name of somebody %d', %d.%02d, '2024-05-0%d 12:13:14+00')%s\n",
                number * LINE_ROWS + row, row, number % 1000, row, row + 1, row + 1 < LINE_ROWS ? "," : ";");
}

/* The statement of this number; each has a table, its index, data, a query or a function in turn. */
static void write_statement(FILE *out, int number)
{
    switch (number % 8) {
    case 0:
        fprintf(out,
                "-- What is kept of customer %d, and since when.\n"
                "CREATE TABLE {{tables.customers_%d}} (\n"
                "    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
                "    user_id bigint NOT NULL REFERENCES {{tables.users}} (id) ON DELETE CASCADE,\n"
                "    email text NOT NULL CHECK (length(email) <= 254),\n"
                "    balance numeric(12, 2) NOT NULL DEFAULT 0,\n"
                "    created_at timestamptz NOT NULL DEFAULT now(),\n"
                "    meta jsonb NOT NULL DEFAULT '{}',\n"
                "    UNIQUE (user_id, email)\n);\n",
                number, number);
        break;
    case 1:
        fprintf(out, "CREATE INDEX email_%d ON {{tables.customers_%d}} (lower(email)) WHERE balance > 0;\n", number,
                number - 1);
        break;
    case 2:
        fputs("SELECT u.id, u.email, count(*) AS orders, sum(o.balance) AS total\n"
              "FROM {{tables.users}} u\n"
              "JOIN {{tables.orders}} o ON o.user_id = u.id AND o.created_at >= $1\n"
              "LEFT JOIN LATERAL (SELECT max(e.created_at) AS seen FROM {{tables.events}} e WHERE e.user_id = u.id) l "
              "ON true\n"
              "WHERE u.email LIKE '%@example.com' AND u.id = ANY($2)\n"
              "GROUP BY u.id, u.email HAVING count(*) > 3 ORDER BY total DESC NULLS LAST LIMIT 50;\n",
              out);
        break;
    case 3:
        fprintf(out,
                "CREATE FUNCTION {{schema}}.touch_%d() RETURNS trigger LANGUAGE plpgsql AS $$\n"
                "BEGIN\n    NEW.created_at := now();\n"
                "    IF NEW.email IS DISTINCT FROM OLD.email THEN\n"
                "        INSERT INTO {{tables.audit_log}} (user_id, email) VALUES (NEW.user_id, NEW.email);\n"
                "    END IF;\n    RETURN NEW;\nEND\n$$;\n",
                number);
        break;
    default:
        write_data(out, number);
    }
}

/* One file; to be freed. */
static char *write_file(int first, size_t *bytes)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, bytes);
    bench_expect(out != NULL, "no memory");
    for (int number = first; ftell(out) < FILE_BYTES; number++)
        write_statement(out, number);
    fclose(out);
    return text;
}

/* The seconds it takes to read so many files of which all are fine. */
static double read_files(int n_files, size_t *all_bytes)
{
    struct pgdbm__check_run checked = {0};
    struct pgdbm__check_names *names = pgdbm__check_names_create();
    double seconds = 0;
    *all_bytes = 0;
    bench_expect(names != NULL, "no memory");
    for (int i = 0; i < n_files; i++) {
        struct pgdbm__check_sql sql = {.file = "001_a.sql", .migration = true, .names = names};
        char *text = write_file(i * 8000, &sql.bytes);
        sql.text = text;
        double begin = bench_now();
        bench_expect(pgdbm__check_read_sql(&checked, &sql), "pgdbm check: no memory");
        seconds += bench_now() - begin;
        *all_bytes += sql.bytes;
        free(text);
    }
    double begin = bench_now();
    bench_expect(pgdbm__check_names_report(names, &checked), "pgdbm check: no memory");
    seconds += bench_now() - begin;
    pgdbm__check_names_free(names);
    bench_expect(checked.findings == 0, "pgdbm check found something wrong in what is right");
    return seconds;
}

void bench_check_sql(struct bench *bench)
{
    struct samples cost = {0};
    if (!pgdbm__check_has_parser())
        return;
    for (int round = 0; round < (bench->quick ? 1 : 5); round++) {
        size_t bytes;
        double seconds = read_files(bench->quick ? 4 : 200, &bytes);
        bench_add(&cost, seconds * 1e3 / ((double)bytes / 1e6));
    }
    bench_report_value(bench, "check-sql", 50, " ms/MB", &cost);
}
