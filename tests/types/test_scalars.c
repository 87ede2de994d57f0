/* SPDX-License-Identifier: MIT */
/* Scalars beside the server's own word: what it prints we must print, and what we read it must read. */
#include "db/stage.h"
#include "types/number.h"
#include "types/subjects.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#define RANDOM_VALUES 3000
#define MUTANTS 20000
#define TEXT_OID 25

/* h and u are what subjects.c makes values of: the same in each run. */
static const char functions[] =
    "CREATE FUNCTION h(g int, k int) RETURNS int8 IMMUTABLE LANGUAGE sql AS 'SELECT hashint8extended(g, k)';"
    "CREATE FUNCTION u(g int, k int, n int8) RETURNS int8 IMMUTABLE LANGUAGE sql AS "
    "'SELECT (hashint8extended(g, k) & 9223372036854775807) % n';";

struct server {
    char *url;
    PGconn *connection;
};

static PGresult *ask(PGconn *connection, const char *sql, ExecStatusType expected)
{
    PGresult *result = PQexec(connection, sql);
    if (PQresultStatus(result) != expected)
        fail_msg("%s\n%s", sql, PQresultErrorMessage(result));
    return result;
}

static void tell(PGconn *connection, const char *sql)
{
    PQclear(ask(connection, sql, PGRES_COMMAND_OK));
}

static int connect_server(void **state)
{
    struct server *server = calloc(1, sizeof *server);
    assert_non_null(server);
    server->url = test_database_create();
    server->connection = PQconnectdb(server->url);
    assert_int_equal(PQstatus(server->connection), CONNECTION_OK);
    tell(server->connection, functions);
    tell(server->connection, "SET TimeZone = 'UTC'; SET client_encoding = 'UTF8'");
    *state = server;
    return 0;
}

static int disconnect_server(void **state)
{
    struct server *server = *state;
    PQfinish(server->connection);
    test_database_drop(server->url);
    free(server);
    return 0;
}

/* The subject's values as the server sends them, in the given format and always the same order. */
static PGresult *values(PGconn *connection, const struct subject *subject, int format)
{
    char *sql = NULL;
    assert_true(asprintf(&sql,
                         "SELECT v FROM (SELECT 0, v FROM (VALUES %s) edges(v) UNION ALL "
                         "SELECT g, %s FROM generate_series(1, %d) g) all_values(n, v) ORDER BY n",
                         subject->edges, subject->random, RANDOM_VALUES) > 0);
    PGresult *result = PQexecParams(connection, sql, 0, NULL, NULL, NULL, NULL, format);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s\n%s", sql, PQresultErrorMessage(result));
    free(sql);
    return result;
}

/* A binary array of elements that are appended one by one. */
struct array {
    struct pgdbm__buffer bytes;
    int32_t count;
};

static void array_append(struct array *array, const char *data, size_t bytes)
{
    char length[4];
    pgdbm__put_uint32(length, (uint32_t)bytes);
    pgdbm__buffer_append(&array->bytes, length, sizeof length);
    pgdbm__buffer_append(&array->bytes, data, bytes);
    array->count++;
}

/* Runs `sql` with the array as $1, and lets go of it. */
static PGresult *array_ask(PGconn *connection, const char *sql, struct array *array, Oid element, int format)
{
    char lookup[100];
    char header[20];
    struct pgdbm__buffer whole = {0};
    snprintf(lookup, sizeof lookup, "SELECT typarray FROM pg_type WHERE oid = %u", element);
    PGresult *found = ask(connection, lookup, PGRES_TUPLES_OK);
    Oid type = (Oid)strtoul(PQgetvalue(found, 0, 0), NULL, 10);
    PQclear(found);
    char *at = pgdbm__put_uint32(pgdbm__put_uint32(header, 1), 0);
    at = pgdbm__put_uint32(pgdbm__put_uint32(at, element), (uint32_t)array->count);
    pgdbm__put_uint32(at, 1);
    pgdbm__buffer_append(&whole, header, sizeof header);
    pgdbm__buffer_append(&whole, array->bytes.data, array->bytes.length);
    const char *value = whole.data;
    const int length = (int)whole.length;
    const int binary = 1;
    PGresult *result = PQexecParams(connection, sql, 1, &type, &value, &length, &binary, format);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s\n%s", sql, PQresultErrorMessage(result));
    pgdbm__buffer_free(&whole);
    pgdbm__buffer_free(&array->bytes);
    return result;
}

static void every_scalar_prints_as_the_server_prints_it(void **state)
{
    PGconn *connection = ((struct server *)*state)->connection;
    for (const struct subject *subject = subjects; subject < subjects + n_subjects; subject++) {
        PGresult *binary = values(connection, subject, 1);
        PGresult *text = values(connection, subject, 0);
        assert_true(PQntuples(binary) > RANDOM_VALUES);
        for (int row = 0; row < PQntuples(binary); row++) {
            struct pgdbm__buffer out = {0};
            const char *expected = PQgetvalue(text, row, 0);
            if (!subject->print(NULL, PQgetvalue(binary, row, 0), (size_t)PQgetlength(binary, row, 0), &out))
                fail_msg("%s: %.200s is not printed", subject->name, expected);
            pgdbm__buffer_append(&out, "", 1);
            if (strcmp(out.data, expected) != 0)
                fail_msg("%s: the server prints %.200s, we print %.200s", subject->name, expected, out.data);
            pgdbm__buffer_free(&out);
        }
        PQclear(binary);
        PQclear(text);
    }
}

static void every_text_the_server_prints_is_read_as_the_server_reads_it(void **state)
{
    PGconn *connection = ((struct server *)*state)->connection;
    for (const struct subject *subject = subjects; subject < subjects + n_subjects; subject++) {
        PGresult *binary = values(connection, subject, 1);
        PGresult *text = values(connection, subject, 0);
        struct array sent = {0};
        for (int row = 0; row < PQntuples(text); row++) {
            struct pgdbm__buffer out = {0};
            const char *printed = PQgetvalue(text, row, 0);
            if (!subject->parse(NULL, printed, (size_t)PQgetlength(text, row, 0), &out))
                fail_msg("%s: %.200s is not read", subject->name, printed);
            if (out.length != (size_t)PQgetlength(binary, row, 0) ||
                memcmp(out.data, PQgetvalue(binary, row, 0), out.length) != 0)
                fail_msg("%s: %.200s is read as another value than the server's", subject->name, printed);
            array_append(&sent, out.data, out.length);
            pgdbm__buffer_free(&out);
        }
        PGresult *back = array_ask(connection, "SELECT v FROM unnest($1) v", &sent, PQftype(binary, 0), 0);
        assert_int_equal(PQntuples(back), PQntuples(text));
        for (int row = 0; row < PQntuples(text); row++)
            if (strcmp(PQgetvalue(back, row, 0), PQgetvalue(text, row, 0)) != 0)
                fail_msg("%s: %.200s went, the server got %.200s", subject->name, PQgetvalue(text, row, 0),
                         PQgetvalue(back, row, 0));
        PQclear(binary);
        PQclear(text);
        PQclear(back);
    }
}

static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* One character changed, added or taken away, now and then more. The text grows by six bytes at most. */
static size_t mutate(char *text, size_t bytes, uint64_t *seed)
{
    static const char alphabet[] = "0123456789012345678901234567890123456789:-+. TZBCe/infxtf\\";
    int times = 1 + (int)(next(seed) % 3);
    for (int i = 0; i < times * 2; i++) {
        size_t at = next(seed) % (bytes + 1);
        char byte = alphabet[next(seed) % (sizeof alphabet - 1)];
        unsigned how = (unsigned)(next(seed) % 4);
        if (how == 0 && at < bytes)
            memmove(text + at, text + at + 1, --bytes - at);
        else if (how == 1) {
            memmove(text + at + 1, text + at, bytes++ - at);
            text[at] = byte;
        } else if (how == 2 && at < bytes)
            text[at] = byte;
    }
    return bytes;
}

/* What we take of texts that were changed at random, in `texts`; and in `binaries` what we take them for. */
static void mutants(const struct subject *subject, PGresult *seeds, struct array *texts, PGresult **binaries)
{
    uint64_t seed = UINT64_C(0x9E3779B97F4A7C15);
    *binaries = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc column = {.name = (char[]){"v"}, .format = 1};
    assert_true(PQsetResultAttrs(*binaries, 1, &column));
    for (int i = 0; i < MUTANTS; i++) {
        char text[128];
        struct pgdbm__buffer out = {0};
        int row = i % PQntuples(seeds);
        size_t bytes = (size_t)PQgetlength(seeds, row, 0);
        if (bytes > sizeof text - 6)
            continue;
        memcpy(text, PQgetvalue(seeds, row, 0), bytes);
        bytes = mutate(text, bytes, &seed);
        if (subject->parse(NULL, text, bytes, &out)) {
            array_append(texts, text, bytes);
            assert_true(PQsetvalue(*binaries, PQntuples(*binaries), 0, out.data, (int)out.length));
        } else
            assert_int_equal(out.length, 0);
        pgdbm__buffer_free(&out);
    }
}

/* With settings under which any text that depends on them would mean something else. */
static void no_text_is_read_otherwise_than_the_server_reads_it(void **state)
{
    PGconn *connection = ((struct server *)*state)->connection;
    for (const struct subject *subject = subjects; subject < subjects + n_subjects; subject++) {
        /* "bit" alone means bit(1) in SQL, and whether a text is JSON is for the server to say. */
        if (strcmp(subject->name, "bit") == 0 || strcmp(subject->name, "jsonb") == 0)
            continue;
        struct array texts = {0};
        PGresult *ours = NULL;
        char sql[512];
        PGresult *seeds = values(connection, subject, 0);
        mutants(subject, seeds, &texts, &ours);
        PQclear(seeds);
        if (PQntuples(ours) < MUTANTS / 200)
            fail_msg("%s: only %d changed texts were taken", subject->name, PQntuples(ours));
        tell(connection, "SET DateStyle = 'SQL, DMY'; SET TimeZone = 'America/St_Johns'; "
                         "SET IntervalStyle = 'sql_standard'; SET extra_float_digits = -5");
        snprintf(sql, sizeof sql,
                 "CREATE FUNCTION reads_as(t text, OUT v %s, OUT refused bool) LANGUAGE plpgsql AS $$ BEGIN "
                 "v := t; EXCEPTION WHEN OTHERS THEN refused := true; END $$",
                 subject->name);
        tell(connection, sql);
        PGresult *theirs = array_ask(connection,
                                     "SELECT (r).v, (r).refused, t FROM (SELECT reads_as(t) AS r, t FROM unnest($1) t "
                                     "OFFSET 0) s",
                                     &texts, TEXT_OID, 1);
        for (int row = 0; row < PQntuples(theirs); row++) {
            const char *text = PQgetvalue(theirs, row, 2);
            if (!PQgetisnull(theirs, row, 1))
                fail_msg("%s: we take '%s', the server does not", subject->name, text);
            if (PQgetlength(theirs, row, 0) != PQgetlength(ours, row, 0) ||
                memcmp(PQgetvalue(theirs, row, 0), PQgetvalue(ours, row, 0), (size_t)PQgetlength(ours, row, 0)) != 0)
                fail_msg("%s: we take '%s' for another value than the server does", subject->name, text);
        }
        PQclear(theirs);
        PQclear(ours);
        tell(connection, "DROP FUNCTION reads_as");
        tell(connection, "RESET DateStyle; SET TimeZone = 'UTC'; RESET IntervalStyle; RESET extra_float_digits");
    }
}

static const struct subject *find_subject(const char *name)
{
    const struct subject *subject = subjects;
    while (strcmp(subject->name, name) != 0)
        subject++;
    return subject;
}

static void plain_forms_that_nobody_prints_are_read_too(void **state)
{
    static const struct {
        const char *type;
        const char *text;
    } forms[] = {
        {"boolean", "true"},
        {"boolean", "false"},
        {"smallint", "-0007"},
        {"real", "1.50"},
        {"double precision", "-.5e+3"},
        {"numeric", "-007.10"},
        {"numeric", ".5"},
        {"numeric", "5."},
        {"numeric", "-0.00"},
        {"bytea", "\\xABCDEF"},
        {"uuid", "A0EEBC999C0B4EF8BB6D6BB9BD380A11"},
        {"uuid", "a0ee-bc99-9c0b4ef8-bb6d-6bb9-bd38-0a11"},
        {"time", "23:59:60"},
        {"time", "04:05"},
        {"timetz", "12:00Z"},
        {"timetz", "12:00:00.5-0330"},
        {"timestamp", "2016-12-31 23:59:60"},
        {"timestamp", "2026-01-31"},
        {"timestamp", "0044-03-15 BC"},
        {"timestamp", "2026-01-31T11:00"},
        {"timestamp", "2026-12-31 24:00:00"},
        {"timestamptz", "2026-01-31T11:00:00.25Z"},
        {"timestamptz", "2026-01-31 11:00:00+01"},
        {"timestamptz", "2026-01-31 11:00:00-01:30"},
        {"timestamptz", "2026-01-31 11:00-0330"},
        {"timestamptz", "2026-01-31 11:00:00.000001+01:30:15"},
        {"timestamptz", "294277-01-01 00:00:00+01"},
        {"timestamptz", "4714-11-24 00:00:00-01 BC"},
        {"inet", "2001:DB8:0:0::1"},
        {"inet", "::ffff:1.2.3.4/100"},
        {"macaddr", "08:00:2B:01:02:03"},
    };
    PGconn *connection = ((struct server *)*state)->connection;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char sql[256];
        struct pgdbm__buffer out = {0};
        bool taken = find_subject(forms[i].type)->parse(NULL, forms[i].text, strlen(forms[i].text), &out);
        snprintf(sql, sizeof sql, "SELECT '%s'::%s", forms[i].text, forms[i].type);
        PGresult *theirs = PQexecParams(connection, sql, 0, NULL, NULL, NULL, NULL, 1);
        bool refused = PQresultStatus(theirs) != PGRES_TUPLES_OK;
        if (taken == refused)
            fail_msg("%s: %s %s", sql, taken ? "is taken" : "is not taken", PQresultErrorMessage(theirs));
        if (taken && (out.length != (size_t)PQgetlength(theirs, 0, 0) ||
                      memcmp(out.data, PQgetvalue(theirs, 0, 0), out.length) != 0))
            fail_msg("%s is taken for another value than the server does", sql);
        PQclear(theirs);
        pgdbm__buffer_free(&out);
    }
}

/* In memory of exactly the size, so that the sanitizer sees a step too far. */
static bool prints(const struct subject *subject, const char *data, size_t bytes)
{
    struct pgdbm__buffer out = {0};
    char *exact = malloc(bytes > 0 ? bytes : 1);
    assert_non_null(exact);
    memcpy(exact, data, bytes);
    bool printed = subject->print(NULL, exact, bytes, &out);
    free(exact);
    pgdbm__buffer_free(&out);
    return printed;
}

static void values_of_another_length_are_refused(void **state)
{
    PGconn *connection = ((struct server *)*state)->connection;
    for (const struct subject *subject = subjects; subject < subjects + n_subjects; subject++) {
        PGresult *binary = values(connection, subject, 1);
        for (int row = 0; row < PQntuples(binary); row += 50) {
            char value[256] = {0};
            size_t bytes = (size_t)PQgetlength(binary, row, 0);
            if (bytes > sizeof value - 1)
                continue;
            memcpy(value, PQgetvalue(binary, row, 0), bytes);
            for (size_t length = 0; length <= bytes + 1; length++)
                if (prints(subject, value, length) && length != bytes && !subject->any_length)
                    fail_msg("%s: a value of %zu bytes is printed when it has %zu", subject->name, bytes, length);
        }
        PQclear(binary);
    }
}

/* Reads every numeric that fits, and sends it back in our own binary form. */
static void decimals_are_the_numerics_of_128_bits(void **state)
{
    PGconn *connection = ((struct server *)*state)->connection;
    const struct subject *subject = find_subject("numeric");
    PGresult *binary = values(connection, subject, 1);
    PGresult *text = values(connection, subject, 0);
    struct array sent = {0};
    char ours[17000];
    int *rows = calloc((size_t)PQntuples(text), sizeof *rows);
    for (int row = 0; row < PQntuples(text); row++) {
        pgdbm_decimal read;
        pgdbm_decimal parsed;
        pgdbm_error err;
        struct pgdbm__buffer out = {0};
        const char *printed = PQgetvalue(text, row, 0);
        if (pgdbm__decimal_read(PQgetvalue(binary, row, 0), (size_t)PQgetlength(binary, row, 0), &read) != NULL) {
            assert_fails(PGDBM_ERR_TYPE, pgdbm_decimal_parse(printed, &parsed, &err));
            assert_true(strspn(printed, "NaInfity-") == strlen(printed) || strlen(printed) >= 39);
            continue;
        }
        assert_ok(pgdbm_decimal_parse(printed, &parsed, &err));
        assert_int_equal(parsed.high, read.high);
        assert_int_equal(parsed.low, read.low);
        assert_int_equal(parsed.scale, read.scale);
        assert_int_equal(pgdbm_decimal_format(read, ours, sizeof ours), strlen(printed));
        assert_string_equal(ours, printed);
        pgdbm__decimal_append(&read, &out);
        assert_int_equal(out.length, PQgetlength(binary, row, 0));
        assert_memory_equal(out.data, PQgetvalue(binary, row, 0), out.length);
        rows[sent.count] = row;
        array_append(&sent, out.data, out.length);
        pgdbm__buffer_free(&out);
    }
    assert_true(sent.count > RANDOM_VALUES / 4);
    PGresult *back = array_ask(connection, "SELECT v FROM unnest($1) v", &sent, PQftype(binary, 0), 0);
    for (int i = 0; i < PQntuples(back); i++)
        assert_string_equal(PQgetvalue(back, i, 0), PQgetvalue(text, rows[i], 0));
    PQclear(back);
    PQclear(binary);
    PQclear(text);
    free(rows);
}

int main(void)
{
#define ON_SERVER(test) cmocka_unit_test_setup_teardown(test, connect_server, disconnect_server)
    const struct CMUnitTest tests[] = {
        ON_SERVER(every_scalar_prints_as_the_server_prints_it),
        ON_SERVER(every_text_the_server_prints_is_read_as_the_server_reads_it),
        ON_SERVER(no_text_is_read_otherwise_than_the_server_reads_it),
        ON_SERVER(plain_forms_that_nobody_prints_are_read_too),
        ON_SERVER(values_of_another_length_are_refused),
        ON_SERVER(decimals_are_the_numerics_of_128_bits),
    };
    return cmocka_run_group_tests_name("scalars", tests, NULL, NULL);
}
