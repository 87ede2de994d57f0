/* SPDX-License-Identifier: MIT */
/* COPY of structs, of rows, and of file descriptors. */
#include "db/every.h"
#include "db/stage.h"

#include <fcntl.h>
#include <pgdbm/copy.h>
#include <stdio.h>
#include <stdlib.h>

#define MANY 20000

struct item {
    int32_t id;
    const char *name;
    double price;
};

static const pgdbm_field item_fields[] = {
    PGDBM_FIELD(struct item, id, PGDBM_INT32),
    PGDBM_FIELD(struct item, name, PGDBM_TEXT),
    PGDBM_FIELD(struct item, price, PGDBM_DOUBLE),
};
static const pgdbm_struct ITEM = PGDBM_STRUCT(struct item, item_fields);

static const char items_table[] = "CREATE TABLE items (id int4, name text, price float8)";

/* The caller's to free; the texts are static. */
static struct item *make_items(size_t count)
{
    static const char *const names[] = {"", "x", "tab\there", "back\\slash", "line\nend", "\\N", NULL, "\xC3\xA4"};
    struct item *items = test_malloc(count * sizeof *items);
    for (size_t i = 0; i < count; i++)
        items[i] = (struct item){(int32_t)i, names[i % 8], (double)i / 4};
    return items;
}

static void expect_items(struct stage *stage, int64_t count)
{
    stage_expect_number(
        stage->db,
        "SELECT count(*) FROM items WHERE price = id / 4.0 AND name IS NOT DISTINCT FROM (ARRAY['', 'x', "
        "E'tab\\there', E'back\\\\slash', E'line\\nend', E'\\\\N', NULL, U&'\\00E4'])[id % 8 + 1]",
        count);
}

static void structs_are_copied_across_the_borders_of_buffers(void **state)
{
    struct stage *stage = *state;
    struct item *items = make_items(MANY);
    pgdbm_error err;
    int64_t rows = 0;
    stage_run(stage->db, items_table);
    assert_ok(pgdbm_copy_structs(stage->db, "items", &ITEM, items, MANY, NULL, &rows, &err));
    assert_int_equal(rows, MANY);
    expect_items(stage, MANY);
    test_free(items);
}

static void structs_are_copied_as_text(void **state)
{
    struct stage *stage = *state;
    struct item *items = make_items(MANY);
    const pgdbm_copy_options options = {.as_text = true};
    pgdbm_error err;
    int64_t rows = 0;
    stage_run(stage->db, items_table);
    assert_ok(pgdbm_copy_structs(stage->db, "items", &ITEM, items, MANY, &options, &rows, &err));
    assert_int_equal(rows, MANY);
    expect_items(stage, MANY);
    test_free(items);
}

static void no_structs_and_large_structs_are_copied(void **state)
{
    struct stage *stage = *state;
    char *large = test_malloc(1048577);
    const struct item items[] = {{1, large, 1}, {2, "small", 2}, {3, large, 3}};
    pgdbm_error err;
    int64_t rows = -1;
    memset(large, 'x', 1048576);
    large[1048576] = '\0';
    stage_run(stage->db, items_table);
    assert_ok(pgdbm_copy_structs(stage->db, "items", &ITEM, NULL, 0, NULL, &rows, &err));
    assert_int_equal(rows, 0);
    assert_ok(pgdbm_copy_structs(stage->db, "items", &ITEM, items, 3, NULL, &rows, &err));
    assert_int_equal(rows, 3);
    stage_expect_number(stage->db, "SELECT sum(length(name)) FROM items", 2 * 1048576 + 5);
    test_free(large);
}

static void every_kind_is_copied_in_both_formats(void **state)
{
    struct stage *stage = *state;
    struct every rows[2];
    pgdbm_error err;
    every_fill(&rows[0]);
    every_clear(&rows[1]);
    stage_run(stage->db, EVERY_TABLE);
    for (int as_text = 0; as_text < 2; as_text++) {
        const pgdbm_copy_options options = {.as_text = as_text == 1};
        pgdbm_result *result;
        stage_run(stage->db, "TRUNCATE every");
        assert_ok(pgdbm_copy_structs(stage->db, "every", &EVERY, rows, 2, &options, NULL, &err));
        stage_expect_number(stage->db, "SELECT count(*) FROM every WHERE " EVERY_MATCHES, 1);
        assert_ok(
            pgdbm_fetch_structs(stage->db, "SELECT * FROM every ORDER BY has", pgdbm_no_args, &EVERY, &result, &err));
        every_expect_equal(pgdbm_result_structs(result), &rows[1]);
        every_expect_equal((const struct every *)pgdbm_result_structs(result) + 1, &rows[0]);
        pgdbm_result_free(result);
    }
}

static void a_text_for_another_type_is_parsed_by_the_server(void **state)
{
    struct stage *stage = *state;
    const struct item items[] = {{1, "(1,2)", 0.5}, {2, NULL, 1}};
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE items (id int8, name point, price numeric)");
    assert_ok(pgdbm_copy_structs(stage->db, "items", &ITEM, items, 2, NULL, NULL, &err));
    stage_expect_text(stage->db,
                      "SELECT string_agg(id || coalesce(name::text, '-') || price, ' ' ORDER BY id) FROM items",
                      "1(1,2)0.5 2-1");
}

static void a_value_that_does_not_fit_names_row_and_column_and_leaves_no_row(void **state)
{
    struct stage *stage = *state;
    struct item *items = make_items(MANY);
    pgdbm_error err;
    items[MANY - 2].id = 40000;
    for (size_t i = 0; i < MANY - 2; i++)
        items[i].id %= 30000;
    stage_run(stage->db, "CREATE TABLE items (id int2, name text, price float8)");
    assert_fails(PGDBM_ERR_TYPE, pgdbm_copy_structs(stage->db, "items", &ITEM, items, MANY, NULL, NULL, &err));
    assert_contains(err.message, "row 19999, column \"id\"");
    assert_null(strstr(err.message, "40000"));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    stage_expect_number(stage->db, "SELECT count(*) FROM items", 0);
    test_free(items);
}

static void what_the_server_refuses_names_row_and_column(void **state)
{
    struct stage *stage = *state;
    struct item *items = make_items(100);
    const pgdbm_copy_options text = {.as_text = true};
    pgdbm_error err;
    stage_run(stage->db, "CREATE DOMAIN cheap AS float8 CHECK (VALUE < 10)");
    stage_run(stage->db, "CREATE TABLE items (id int4, name text, price cheap)");
    assert_fails(PGDBM_ERR_QUERY, pgdbm_copy_structs(stage->db, "items", &ITEM, items, 100, NULL, NULL, &err));
    assert_contains(err.detail, "line 41, column price");
    assert_fails(PGDBM_ERR_QUERY, pgdbm_copy_structs(stage->db, "items", &ITEM, items, 100, &text, NULL, &err));
    assert_contains(err.detail, "line 41, column price");
    assert_null(strstr(err.detail, "10"));
    stage_expect_number(stage->db, "SELECT count(*) FROM items", 0);
    assert_ok(pgdbm_copy_structs(stage->db, "items", &ITEM, items, 40, NULL, NULL, &err));
    test_free(items);
}

static void types_that_do_not_go_together_are_found_before_anything_is_sent(void **state)
{
    struct stage *stage = *state;
    const struct item item = {1, "x", 2};
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE items (id uuid, name text, price float8)");
    assert_fails(PGDBM_ERR_TYPE, pgdbm_copy_structs(stage->db, "items", &ITEM, &item, 1, NULL, NULL, &err));
    assert_contains(err.message, "column \"id\" (uuid)");
    assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    stage_run(stage->db, "ALTER TABLE items DROP id");
    assert_fails(PGDBM_ERR_QUERY, pgdbm_copy_structs(stage->db, "items", &ITEM, &item, 1, NULL, NULL, &err));
    assert_contains(err.message, "\"id\"");
    assert_fails(PGDBM_ERR_QUERY, pgdbm_copy_structs(stage->db, "nowhere", &ITEM, &item, 1, NULL, NULL, &err));
    assert_string_equal(err.sqlstate, "42P01");
}

static void a_table_that_was_altered_is_written_as_it_is_now(void **state)
{
    struct stage *stage = *state;
    const struct item item = {1065353216, "x", 2}; /* as a float4 these bits would be 1.0 */
    pgdbm_error err;
    stage_run(stage->db, items_table);
    assert_ok(pgdbm_copy_structs(stage->db, "items", &ITEM, &item, 1, NULL, NULL, &err));
    stage_run(stage->db, "ALTER TABLE items ALTER id TYPE float4");
    assert_ok(pgdbm_copy_structs(stage->db, "items", &ITEM, &item, 1, NULL, NULL, &err));
    stage_expect_number(stage->db, "SELECT count(*) FROM items WHERE id = 1065353216", 2);
}

static void chosen_columns_and_odd_names_are_copied(void **state)
{
    struct stage *stage = *state;
    struct odd {
        int32_t a;
        int64_t b, c;
    };
    static const pgdbm_field fields[] = {PGDBM_FIELD_NAMED(struct odd, a, PGDBM_INT32, "An \"odd\" Name"),
                                         PGDBM_FIELD_NAMED(struct odd, b, PGDBM_INT64, "select"),
                                         PGDBM_FIELD(struct odd, c, PGDBM_INT64)};
    static const pgdbm_struct ODD = PGDBM_STRUCT(struct odd, fields);
    static const char *const columns[] = {"select", "An \"odd\" Name"};
    static const char *const wrong[] = {"select", "d"};
    const pgdbm_copy_options options = {.columns = columns, .n_columns = 2};
    const pgdbm_copy_options none = {.columns = wrong, .n_columns = 2};
    const struct odd odd = {1, 2, 3};
    pgdbm_error err;
    stage_run(stage->db, "CREATE DOMAIN whole AS int4 CHECK (VALUE > 0)");
    stage_run(stage->db,
              "CREATE TABLE odds (\"An \"\"odd\"\" Name\" whole, \"select\" int8 GENERATED ALWAYS AS IDENTITY, c "
              "int8 DEFAULT 9, d int8 GENERATED ALWAYS AS (c * 2) STORED)");
    assert_ok(pgdbm_copy_structs(stage->db, "odds", &ODD, &odd, 1, &options, NULL, &err));
    stage_expect_number(stage->db,
                        "SELECT count(*) FROM odds WHERE \"An \"\"odd\"\" Name\" = 1 AND \"select\" = 2 AND c = 9", 1);
    assert_fails(PGDBM_ERR_TYPE, pgdbm_copy_structs(stage->db, "odds", &ODD, &odd, 1, &none, NULL, &err));
    assert_contains(err.message, "column \"d\"");
    assert_ok(pgdbm_copy_structs(stage->db, "odds", &ODD, &odd, 1, NULL, NULL, &err));
    stage_expect_number(stage->db, "SELECT max(d) FROM odds", 18);
}

static void who_may_only_insert_may_copy(void **state)
{
    struct stage *stage = *state;
    struct item *items = make_items(10);
    pgdbm_db *session;
    pgdbm_error err;
    char sql[160];
    snprintf(sql, sizeof sql, "CREATE ROLE writer_%d", (int)getpid());
    stage_run(stage->db, items_table);
    stage_run(stage->db, sql);
    snprintf(sql, sizeof sql, "GRANT INSERT ON items TO writer_%d", (int)getpid());
    stage_run(stage->db, sql);
    snprintf(sql, sizeof sql, "SET ROLE writer_%d", (int)getpid());
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    stage_run(session, sql);
    assert_ok(pgdbm_copy_structs(session, "items", &ITEM, items, 10, NULL, NULL, &err));
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(session, "SELECT * FROM items", pgdbm_no_args, NULL, &err));
    pgdbm_close(session);
    expect_items(stage, 10);
    snprintf(sql, sizeof sql, "DROP OWNED BY writer_%d", (int)getpid());
    stage_run(stage->db, sql);
    snprintf(sql, sizeof sql, "DROP ROLE writer_%d", (int)getpid());
    stage_run(stage->db, sql);
    test_free(items);
}

static void structs_copied_in_a_transaction_are_rolled_back_with_it(void **state)
{
    struct stage *stage = *state;
    struct item *items = make_items(10);
    pgdbm_db *tx;
    pgdbm_error err;
    stage_run(stage->db, items_table);
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    assert_ok(pgdbm_copy_structs(tx, "items", &ITEM, items, 10, NULL, NULL, &err));
    stage_expect_number(tx, "SELECT count(*) FROM items", 10);
    assert_ok(pgdbm_rollback(tx, &err));
    stage_expect_number(stage->db, "SELECT count(*) FROM items", 0);
    test_free(items);
}

struct progress {
    int64_t rows, bytes;
    int calls, stop_at;
};

static bool note_progress(int64_t rows, int64_t bytes, void *context)
{
    struct progress *progress = context;
    assert_true(rows >= progress->rows && bytes >= progress->bytes + 65536);
    progress->rows = rows;
    progress->bytes = bytes;
    return ++progress->calls != progress->stop_at;
}

static void progress_is_told_and_can_cancel(void **state)
{
    struct stage *stage = *state;
    struct item *items = make_items(MANY);
    struct progress progress = {0};
    const pgdbm_copy_options options = {.on_progress = note_progress, .progress_context = &progress};
    pgdbm_error err;
    stage_run(stage->db, items_table);
    assert_ok(pgdbm_copy_structs(stage->db, "items", &ITEM, items, MANY, &options, NULL, &err));
    assert_true(progress.calls >= 5);
    assert_true(progress.rows > MANY / 2);
    stage_run(stage->db, "TRUNCATE items");
    progress = (struct progress){.stop_at = 3};
    assert_fails(PGDBM_ERR_CANCELED, pgdbm_copy_structs(stage->db, "items", &ITEM, items, MANY, &options, NULL, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    assert_int_equal(progress.calls, 3);
    stage_expect_number(stage->db, "SELECT count(*) FROM items", 0);
    test_free(items);
}

struct giver {
    int next, last, fail_at, wrong_at;
    pgdbm_param values[3];
};

static pgdbm_status next_row(const pgdbm_param **values, void *context, pgdbm_error *err)
{
    struct giver *giver = context;
    int number = giver->next++;
    if (number == giver->fail_at) {
        snprintf(err->message, sizeof err->message, "no more after %d", number);
        return PGDBM_ERR_CONFIG;
    }
    giver->values[0] = number == giver->wrong_at ? pgdbm_param_text("not a number") : pgdbm_param_int64(number);
    giver->values[1] = number % 3 == 0 ? pgdbm_param_null() : pgdbm_param_text("a\tb");
    giver->values[2] = number % 2 == 0 ? pgdbm_param_text("2.5") : pgdbm_param_double(2.5);
    *values = number < giver->last ? giver->values : NULL;
    return PGDBM_OK;
}

static void rows_are_copied_in_both_formats(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t rows = 0;
    stage_run(stage->db,
              "CREATE TABLE items (id int4, name text, price numeric, twice int4 GENERATED ALWAYS AS (id * 2) "
              "STORED)");
    for (int as_text = 0; as_text < 2; as_text++) {
        struct giver giver = {.last = MANY, .fail_at = -1, .wrong_at = -1};
        const pgdbm_copy_options options = {.as_text = as_text == 1};
        assert_ok(pgdbm_copy_rows_in(stage->db, "items", next_row, &giver, &options, &rows, &err));
        assert_int_equal(rows, MANY);
    }
    stage_expect_number(stage->db, "SELECT count(*) FROM items WHERE twice = id * 2 AND price = 2.5", 2 * MANY);
    stage_expect_number(stage->db, "SELECT count(*) FROM items WHERE name = E'a\\tb'", 2 * (MANY - (MANY + 2) / 3));
}

static void a_row_that_cannot_be_leaves_none(void **state)
{
    struct stage *stage = *state;
    struct giver wrong = {.last = MANY, .fail_at = -1, .wrong_at = 15000};
    struct giver failing = {.last = MANY, .fail_at = 15000, .wrong_at = -1};
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE items (id int4, name text, price numeric)");
    assert_fails(PGDBM_ERR_TYPE, pgdbm_copy_rows_in(stage->db, "items", next_row, &wrong, NULL, NULL, &err));
    assert_contains(err.message, "row 15001, column \"id\"");
    assert_null(strstr(err.message, "not a number"));
    assert_fails(PGDBM_ERR_CONFIG, pgdbm_copy_rows_in(stage->db, "items", next_row, &failing, NULL, NULL, &err));
    assert_string_equal(err.message, "no more after 15000");
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    stage_expect_number(stage->db, "SELECT count(*) FROM items", 0);
}

struct taker {
    int64_t rows, sum, limit;
    size_t columns;
    char last[64];
};

static bool take_row(const pgdbm_result *row, void *context)
{
    struct taker *taker = context;
    const char *text;
    int64_t id;
    pgdbm_error err;
    assert_int_equal(pgdbm_result_rows(row), 1);
    assert_ok(pgdbm_get_int64(row, 0, "id", &id, &err));
    assert_ok(pgdbm_get_text(row, 0, 1, &text, &err));
    snprintf(taker->last, sizeof taker->last, "%s", text != NULL ? text : "NULL");
    taker->columns = pgdbm_result_columns(row);
    taker->sum += id;
    return ++taker->rows != taker->limit;
}

static void rows_come_out_of_tables_and_queries(void **state)
{
    struct stage *stage = *state;
    struct taker taker = {0};
    static const char *const columns[] = {"id", "name"};
    const pgdbm_copy_options options = {.columns = columns, .n_columns = 2};
    struct item *items = make_items(MANY);
    pgdbm_error err;
    int64_t rows = 0;
    stage_run(stage->db, items_table);
    assert_ok(pgdbm_copy_structs(stage->db, "items", &ITEM, items, MANY, NULL, NULL, &err));
    assert_ok(pgdbm_copy_rows_out(stage->db, "items", take_row, &taker, NULL, &rows, &err));
    assert_int_equal(rows, MANY);
    assert_int_equal(taker.sum, (int64_t)MANY * (MANY - 1) / 2);
    assert_int_equal(taker.columns, 3);
    assert_ok(pgdbm_copy_rows_out(stage->db, "items", take_row, &taker, &options, &rows, &err));
    assert_int_equal(taker.columns, 2);
    taker = (struct taker){0};
    assert_ok(
        pgdbm_copy_rows_out(stage->db,
                            "WITH five AS (SELECT * FROM {{tables.items}} WHERE id < 5) SELECT id, price FROM five "
                            "ORDER BY id; -- all",
                            take_row, &taker, NULL, &rows, &err));
    assert_int_equal(taker.rows, 5);
    assert_string_equal(taker.last, "1");
    test_free(items);
}

static void types_that_are_unknown_here_come_as_text(void **state)
{
    struct stage *stage = *state;
    struct taker taker = {0};
    pgdbm_error err;
    assert_ok(pgdbm_copy_rows_out(stage->db, "SELECT 1 AS id, '(1,2)'::point AS p, '<(1,2),3>'::circle AS \"C\"",
                                  take_row, &taker, NULL, NULL, &err));
    assert_string_equal(taker.last, "(1,2)");
    assert_int_equal(taker.columns, 3);
}

static void large_rows_come_out_whole(void **state)
{
    struct stage *stage = *state;
    struct taker taker = {0};
    pgdbm_error err;
    assert_ok(pgdbm_copy_rows_out(stage->db, "SELECT i AS id, repeat('x', 700000) || i FROM generate_series(1, 20) i",
                                  take_row, &taker, NULL, NULL, &err));
    assert_int_equal(taker.rows, 20);
}

static void taking_rows_can_be_stopped(void **state)
{
    struct stage *stage = *state;
    struct taker taker = {.limit = 10};
    struct progress progress = {.stop_at = 2};
    const pgdbm_copy_options options = {.on_progress = note_progress, .progress_context = &progress};
    pgdbm_error err;
    int64_t rows = 0;
    assert_ok(pgdbm_copy_rows_out(stage->db, "SELECT i AS id, i FROM generate_series(1, 10000000) i", take_row, &taker,
                                  NULL, &rows, &err));
    assert_int_equal(taker.rows, 10);
    assert_int_equal(rows, 10);
    taker.limit = 0;
    assert_fails(PGDBM_ERR_CANCELED,
                 pgdbm_copy_rows_out(stage->db, "SELECT i AS id, i FROM generate_series(1, 10000000) i", take_row,
                                     &taker, &options, &rows, &err));
    stage_expect_number(stage->db, "SELECT 1", 1);
}

static void expect_same_bytes(int fd, const char *text)
{
    char bytes[256] = "";
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_true(read(fd, bytes, sizeof bytes - 1) >= 0);
    assert_string_equal(bytes, text);
}

static void files_are_copied_in_and_out(void **state)
{
    struct stage *stage = *state;
    char path[TEST_PATH_BYTES];
    int fd = test_file_make("copy", path);
    pgdbm_error err;
    int64_t rows = 0;
    unlink(path);
    assert_int_equal(write(fd, "1,one,1\n2,two,2\n", 16), 16);
    assert_int_equal(lseek(fd, 8, SEEK_SET), 8);
    stage_run(stage->db, items_table);
    assert_ok(pgdbm_copy_in_fd(stage->db, "COPY {{tables.items}} FROM STDIN (FORMAT csv)", fd, NULL, &rows, &err));
    assert_int_equal(rows, 1);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_ok(pgdbm_copy_out_fd(stage->db, "COPY items TO STDOUT", fd, NULL, &rows, &err));
    assert_int_equal(rows, 1);
    expect_same_bytes(fd, "2\ttwo\t2\n");
    close(fd);
}

struct pipe_reader {
    int fd;
    size_t bytes;
};

static void *read_all(void *context)
{
    struct pipe_reader *reader = context;
    char bytes[4096];
    ssize_t got;
    while ((got = read(reader->fd, bytes, sizeof bytes)) > 0)
        reader->bytes += (size_t)got;
    return NULL;
}

static void a_pipe_that_does_not_block_takes_all(void **state)
{
    struct stage *stage = *state;
    int ends[2];
    struct pipe_reader reader = {0};
    struct progress progress = {0};
    const pgdbm_copy_options options = {.on_progress = note_progress, .progress_context = &progress};
    pthread_t thread;
    pgdbm_error err;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    reader.fd = ends[0];
    assert_int_equal(pthread_create(&thread, NULL, read_all, &reader), 0);
    assert_ok(pgdbm_copy_out_fd(stage->db, "COPY (SELECT 'abcdefg' FROM generate_series(1, 100000)) TO STDOUT", ends[1],
                                &options, NULL, &err));
    close(ends[1]);
    pthread_join(thread, NULL);
    close(ends[0]);
    assert_int_equal(reader.bytes, 800000);
    assert_int_equal(progress.rows, 0);
    assert_true(progress.calls > 5);
}

static void a_descriptor_that_fails_is_told(void **state)
{
    struct stage *stage = *state;
    int fd = open("/dev/null", O_RDONLY);
    int folder = open("/tmp", O_RDONLY);
    pgdbm_error err;
    stage_run(stage->db, items_table);
    assert_fails(PGDBM_ERR_QUERY, pgdbm_copy_in_fd(stage->db, "COPY items FROM STDIN", folder, NULL, NULL, &err));
    assert_contains(err.message, "directory");
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    assert_fails(PGDBM_ERR_QUERY, pgdbm_copy_out_fd(stage->db, "COPY (SELECT 1) TO STDOUT", fd, NULL, NULL, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_DONE);
    assert_fails(PGDBM_ERR_QUERY, pgdbm_copy_in_fd(stage->db, "SELECT 1", fd, NULL, NULL, &err));
    assert_ok(pgdbm_copy_in_fd(stage->db, "COPY items FROM STDIN", fd, NULL, NULL, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_copy_in_fd(stage->db, "COPY items FROM STDIN", -1, NULL, NULL, &err));
    close(fd);
    close(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROWS_TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup_four, stage_teardown)
        ROWS_TEST(structs_are_copied_across_the_borders_of_buffers),
        ROWS_TEST(structs_are_copied_as_text),
        ROWS_TEST(no_structs_and_large_structs_are_copied),
        ROWS_TEST(every_kind_is_copied_in_both_formats),
        ROWS_TEST(a_text_for_another_type_is_parsed_by_the_server),
        ROWS_TEST(a_value_that_does_not_fit_names_row_and_column_and_leaves_no_row),
        ROWS_TEST(what_the_server_refuses_names_row_and_column),
        ROWS_TEST(types_that_do_not_go_together_are_found_before_anything_is_sent),
        ROWS_TEST(a_table_that_was_altered_is_written_as_it_is_now),
        ROWS_TEST(chosen_columns_and_odd_names_are_copied),
        ROWS_TEST(who_may_only_insert_may_copy),
        ROWS_TEST(structs_copied_in_a_transaction_are_rolled_back_with_it),
        ROWS_TEST(progress_is_told_and_can_cancel),
        ROWS_TEST(rows_are_copied_in_both_formats),
        ROWS_TEST(a_row_that_cannot_be_leaves_none),
        ROWS_TEST(rows_come_out_of_tables_and_queries),
        ROWS_TEST(types_that_are_unknown_here_come_as_text),
        ROWS_TEST(large_rows_come_out_whole),
        ROWS_TEST(taking_rows_can_be_stopped),
        ROWS_TEST(files_are_copied_in_and_out),
        ROWS_TEST(a_pipe_that_does_not_block_takes_all),
        ROWS_TEST(a_descriptor_that_fails_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
