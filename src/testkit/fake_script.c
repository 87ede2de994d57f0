/* SPDX-License-Identifier: MIT */
/* Steps are checked and become orders, before anything listens: a script that makes no sense is refused with the number of
 * its step, and what a connection's thread does cannot fail for want of memory or sense. No state. */
#include "base/alloc.h"
#include "base/error.h"
#include "testkit/fake.h"

#include <string.h>

#define STEPS_LIMIT 10000
#define BYTES_LIMIT (INT64_C(64) << 20) /* of one step */
#define TIMES_LIMIT 1000000
#define MS_LIMIT 60000
#define TEXTS_LIMIT 1600 /* PostgreSQL's limit of columns */
#define TEXT_OID 25

static void append_int(struct pgdbm__buffer *out, int64_t value, int bytes)
{
    char big_endian[4];
    for (int i = 0; i < bytes; i++)
        big_endian[i] = (char)(value >> (8 * (bytes - 1 - i)) & 0xff);
    pgdbm__buffer_append(out, big_endian, (size_t)bytes);
}

static void append_string(struct pgdbm__buffer *out, const char *text)
{
    pgdbm__buffer_append(out, text, strlen(text) + 1);
}

static void append_message(struct pgdbm__buffer *out, char type, const void *body, size_t bytes)
{
    pgdbm__buffer_append(out, &type, 1);
    append_int(out, (int64_t)bytes + 4, 4);
    if (bytes > 0)
        pgdbm__buffer_append(out, body, bytes);
}

static void append_columns(struct pgdbm__buffer *body, const pgdbm_testfake_step *step)
{
    append_int(body, (int64_t)step->n_texts, 2);
    for (size_t i = 0; i < step->n_texts; i++) {
        append_string(body, step->texts[i]);
        append_int(body, 0, 4); /* of no table, */
        append_int(body, 0, 2); /* and so of no column there */
        append_int(body, TEXT_OID, 4);
        append_int(body, -1, 2); /* of any length */
        append_int(body, -1, 4);
        append_int(body, 0, 2); /* as text */
    }
}

static void append_row(struct pgdbm__buffer *body, const pgdbm_testfake_step *step)
{
    append_int(body, (int64_t)step->n_texts, 2);
    for (size_t i = 0; i < step->n_texts; i++) {
        size_t bytes = step->texts[i] != NULL ? strlen(step->texts[i]) : 0;
        append_int(body, step->texts[i] != NULL ? (int64_t)bytes : -1, 4);
        pgdbm__buffer_append(body, step->texts[i], bytes);
    }
}

/* The severity twice, as servers do: translated, and not. */
static void append_report(struct pgdbm__buffer *body, const pgdbm_testfake_step *step)
{
    static const char fields[] = {'C', 'M'};
    pgdbm__buffer_append(body, "S", 1);
    append_string(body, step->texts[0]);
    pgdbm__buffer_append(body, "V", 1);
    append_string(body, step->texts[0]);
    for (size_t i = 0; i < sizeof fields; i++) {
        pgdbm__buffer_append(body, &fields[i], 1);
        append_string(body, step->texts[i + 1]);
    }
    pgdbm__buffer_append(body, "", 1);
}

static void append_greeting(struct pgdbm__buffer *out)
{
    static const char settings[][64] = {
        "server_version\0"
        "17.0",
        "server_encoding\0"
        "UTF8",
        "client_encoding\0"
        "UTF8",
        "DateStyle\0"
        "ISO, MDY",
        "IntervalStyle\0"
        "postgres",
        "TimeZone\0"
        "UTC",
        "integer_datetimes\0"
        "on",
        "standard_conforming_strings\0"
        "on",
        "is_superuser\0"
        "on",
        "session_authorization\0"
        "postgres",
        "in_hot_standby\0"
        "off",
        "default_transaction_read_only\0"
        "off",
    };
    append_message(out, 'R', "\0\0\0\0", 4);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        size_t name_bytes = strlen(settings[i]) + 1;
        append_message(out, 'S', settings[i], name_bytes + strlen(settings[i] + name_bytes) + 1);
    }
    append_message(out, 'K', "\0\0\x30\x39\0\x01\x02\x03", 8);
    append_message(out, 'Z', "I", 1);
}

static void append_garbage(struct pgdbm__buffer *out, size_t bytes, uint64_t seed)
{
    /* xorshift64*, whose state must not be zero */
    uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) ^ UINT64_C(0xd1342543de82ef95);
    if (state == 0)
        state = 1;
    if (!pgdbm__buffer_reserve(out, bytes))
        return;
    for (size_t i = 0; i < bytes; i++) {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        char byte = (char)(state * UINT64_C(0x2545f4914f6cdd1d) >> 56);
        pgdbm__buffer_append(out, &byte, 1);
    }
}

/* What a step sends, and what it compares with. */
static void append_bytes(struct pgdbm__buffer *out, const pgdbm_testfake_step *step)
{
    struct pgdbm__buffer body = {0};
    switch (step->kind) {
    case PGDBM_TESTFAKE_GREETING:
        append_greeting(out);
        return;
    case PGDBM_TESTFAKE_GARBAGE:
        append_garbage(out, (size_t)step->number, (uint64_t)step->more);
        return;
    case PGDBM_TESTFAKE_MESSAGE:
        append_message(out, step->type, step->data, step->bytes);
        return;
    case PGDBM_TESTFAKE_COLUMNS:
        append_columns(&body, step);
        break;
    case PGDBM_TESTFAKE_ROW:
        append_row(&body, step);
        break;
    case PGDBM_TESTFAKE_REPORT:
        append_report(&body, step);
        break;
    case PGDBM_TESTFAKE_TEXTS:
        for (size_t i = 0; i < step->n_texts; i++)
            append_string(&body, step->texts[i]);
        break;
    default: /* bytes as they are, or none */
        if (step->bytes > 0)
            pgdbm__buffer_append(out, step->data, step->bytes);
        return;
    }
    append_message(out, step->type, body.data, body.length);
    out->failed |= body.failed;
    pgdbm__buffer_free(&body);
}

/* What is wrong with the texts of a message, or NULL. */
static const char *look_at_texts(const pgdbm_testfake_step *step)
{
    int64_t bytes = 0;
    if (step->n_texts > TEXTS_LIMIT)
        return "more than 1600 texts";
    if (step->n_texts > 0 && step->texts == NULL)
        return "its texts are NULL";
    if (step->kind == PGDBM_TESTFAKE_REPORT && step->n_texts != 3)
        return "wants severity, sqlstate and message";
    for (size_t i = 0; i < step->n_texts; i++) {
        if (step->texts[i] == NULL && step->kind != PGDBM_TESTFAKE_ROW)
            return "a text is NULL";
        bytes += step->texts[i] != NULL ? (int64_t)strlen(step->texts[i]) : 0;
    }
    return bytes > BYTES_LIMIT ? "more than 64 MB" : NULL;
}

/* What is wrong with step `index`, or NULL. */
static const char *look(const pgdbm_testfake_step *step, size_t index, bool unix_socket)
{
    if (step->bytes > 0 && step->data == NULL)
        return "its bytes are NULL";
    if (step->bytes > (size_t)BYTES_LIMIT)
        return "more than 64 MB";
    switch (step->kind) {
    case PGDBM_TESTFAKE_EXPECT_MESSAGE:
    case PGDBM_TESTFAKE_EXPECT_UNTIL:
        return step->type == '\0' ? "expects a message without a type" : NULL;
    case PGDBM_TESTFAKE_EXPECT_BYTES:
        return step->bytes == 0 ? "expects no bytes at all" : NULL;
    case PGDBM_TESTFAKE_TEXTS:
    case PGDBM_TESTFAKE_COLUMNS:
    case PGDBM_TESTFAKE_ROW:
    case PGDBM_TESTFAKE_REPORT:
        return look_at_texts(step);
    case PGDBM_TESTFAKE_GARBAGE:
    case PGDBM_TESTFAKE_CUT:
        return step->number < 0 || step->number > BYTES_LIMIT ? "wants between 0 bytes and 64 MB" : NULL;
    case PGDBM_TESTFAKE_SLOW_READS:
    case PGDBM_TESTFAKE_SLOW_WRITES:
        if (step->number < 0 || step->number > BYTES_LIMIT)
            return "wants between 0 bytes and 64 MB";
        return step->more < 0 || step->more > MS_LIMIT ? "wants between 0 and 60 000 ms" : NULL;
    case PGDBM_TESTFAKE_DELAY:
        return step->more < 0 || step->more > MS_LIMIT ? "wants between 0 and 60 000 ms" : NULL;
    case PGDBM_TESTFAKE_LOOP:
        if (step->number < 1 || (uint64_t)step->number > index)
            return "repeats steps before the first one, or none";
        return step->more < -1 || step->more > TIMES_LIMIT ? "repeats more than a million times" : NULL;
    case PGDBM_TESTFAKE_RESET:
        return unix_socket ? "resets a unix socket, which knows no such thing: leave .unix_socket out" : NULL;
    case PGDBM_TESTFAKE_EXPECT_STARTUP:
    case PGDBM_TESTFAKE_SEND:
    case PGDBM_TESTFAKE_MESSAGE:
    case PGDBM_TESTFAKE_GREETING:
    case PGDBM_TESTFAKE_WAIT:
    case PGDBM_TESTFAKE_CLOSE:
    case PGDBM_TESTFAKE_REFUSE:
        return NULL;
    }
    return "is of no known kind";
}

static pgdbm_status refuse(size_t script, size_t step, const char *why, pgdbm_error *err)
{
    pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "script %zu, step %zu: %s", script, step, why);
    pgdbm__error_hint(err, "make steps with the macros of <pgdbm/testfake.h>");
    return PGDBM_ERR_ARGUMENT;
}

static bool compile_step(const pgdbm_testfake_step *step, struct pgdbm__fake_order *order)
{
    bool sends = step->kind >= PGDBM_TESTFAKE_SEND && step->kind <= PGDBM_TESTFAKE_GARBAGE;
    struct pgdbm__buffer bytes = {0};
    append_bytes(&bytes, step);
    *order = (struct pgdbm__fake_order){.kind = sends && step->kind != PGDBM_TESTFAKE_GREETING ? PGDBM_TESTFAKE_SEND
                                                                                               : step->kind,
                                        .type = step->type,
                                        .bytes = bytes.length,
                                        .number = (size_t)step->number,
                                        .times = step->more < 0 ? SIZE_MAX : (size_t)step->more};
    if (step->kind >= PGDBM_TESTFAKE_DELAY && step->kind <= PGDBM_TESTFAKE_SLOW_WRITES)
        order->ms = (int)step->more;
    order->data = pgdbm__buffer_take(&bytes);
    if (order->data == NULL)
        pgdbm__buffer_free(&bytes);
    return order->data != NULL;
}

pgdbm_status pgdbm__fake_compile(const pgdbm_testfake_script *script, size_t number, bool unix_socket,
                                 struct pgdbm__fake_orders *orders, pgdbm_error *err)
{
    if (script->n_steps > 0 && script->steps == NULL)
        return refuse(number, 1, "the steps are NULL", err);
    if (script->n_steps > STEPS_LIMIT)
        return refuse(number, STEPS_LIMIT + 1, "more than 10 000 steps", err);
    for (size_t i = 0; i < script->n_steps; i++) {
        const char *wrong = look(&script->steps[i], i, unix_socket);
        if (wrong != NULL)
            return refuse(number, i + 1, wrong, err);
    }
    orders->orders = pgdbm__alloc_zero(script->n_steps, sizeof *orders->orders);
    if (orders->orders == NULL)
        return pgdbm__fail_nomem(err, "reading a fake server's script");
    for (; orders->count < script->n_steps; orders->count++) {
        if (!compile_step(&script->steps[orders->count], &orders->orders[orders->count]))
            return pgdbm__fail_nomem(err, "reading a fake server's script");
    }
    return PGDBM_OK;
}

void pgdbm__fake_orders_free(struct pgdbm__fake_orders *orders)
{
    for (size_t i = 0; i < orders->count; i++)
        pgdbm__free(orders->orders[i].data);
    pgdbm__free(orders->orders);
    *orders = (struct pgdbm__fake_orders){0};
}
