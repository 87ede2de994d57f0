/* SPDX-License-Identifier: MIT */
/* The protocol's side of the simulated server. */
#include "simulation/backend.h"

#include "base/clock.h"
#include "simulation/world.h"
#include "wire/encode.h"

#include <stdlib.h>
#include <string.h>

#define OUT_BYTES 8192
#define TEXT_TYPE 25

struct backend *backends[BACKEND_LIMIT];
size_t n_backends;

struct message {
    char type;
    const char *body;
    size_t bytes, at;
};

struct backend *backend_new(void)
{
    if (n_backends == BACKEND_LIMIT)
        world_fail("more than %d connections in one world", BACKEND_LIMIT);
    struct backend *backend = calloc(1, sizeof *backend);
    if (backend == NULL)
        abort();
    backend->number = (int)n_backends;
    backend->block = 'I';
    backends[n_backends++] = backend;
    return backend;
}

void backends_free(void)
{
    for (size_t i = 0; i < n_backends; i++) {
        pgdbm__buffer_free(&backends[i]->to_server.bytes);
        pgdbm__buffer_free(&backends[i]->to_client.bytes);
        pgdbm__buffer_free(&backends[i]->out);
        pgdbm__buffer_free(&backends[i]->outgoing);
        free(backends[i]);
    }
    n_backends = 0;
}

/* --- sending --- */

/* Gives the network what it takes; false when something is left. */
static bool drain(struct backend *backend)
{
    struct pgdbm__buffer *outgoing = &backend->outgoing;
    size_t moved = 0;
    if (outgoing->length == 0)
        return true;
    network_send_to_client(backend, outgoing->data, outgoing->length, &moved);
    memmove(outgoing->data, outgoing->data + moved, outgoing->length - moved);
    outgoing->length -= moved;
    return outgoing->length == 0;
}

static void flush(struct backend *backend, size_t bytes)
{
    struct pgdbm__buffer *out = &backend->out;
    pgdbm__buffer_append(&backend->outgoing, out->data, bytes);
    memmove(out->data, out->data + bytes, out->length - bytes);
    out->length -= bytes;
    (void)drain(backend);
}

static void end_message(struct backend *backend, size_t begin)
{
    pgdbm__wire_end(&backend->out, begin);
    while (backend->out.length >= OUT_BYTES)
        flush(backend, OUT_BYTES);
}

static void send_bare(struct backend *backend, char type)
{
    end_message(backend, pgdbm__wire_begin(&backend->out, type));
}

static void put_text(struct backend *backend, const char *text)
{
    pgdbm__wire_string(&backend->out, text, strlen(text));
}

static void send_error(struct backend *backend, const char *severity, const char *sqlstate, const char *message,
                       const char *routine)
{
    const char *const fields[][2] = {{"S", severity}, {"V", severity}, {"C", sqlstate}, {"M", message}, {"R", routine}};
    size_t begin = pgdbm__wire_begin(&backend->out, 'E');
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        pgdbm__buffer_append(&backend->out, fields[i][0], 1);
        put_text(backend, fields[i][1]);
    }
    pgdbm__buffer_append(&backend->out, "", 1);
    end_message(backend, begin);
}

void backend_error(struct backend *backend, const char *sqlstate, const char *message, const char *routine)
{
    world_note("backend %d: error %s %s", backend->number, sqlstate, message);
    send_error(backend, "ERROR", sqlstate, message, routine);
    transaction_failed(backend);
    if (!backend->simple)
        backend->ignoring = true;
}

void backend_answer(struct backend *backend, const char *command_tag)
{
    size_t begin = pgdbm__wire_begin(&backend->out, 'C');
    put_text(backend, command_tag);
    end_message(backend, begin);
}

void backend_row(struct backend *backend, const char *value, size_t padding)
{
    static const char filling[4096];
    size_t begin = pgdbm__wire_begin(&backend->out, 'D');
    size_t bytes = strlen(value);
    padding = padding < sizeof filling ? padding : sizeof filling;
    pgdbm__wire_int16(&backend->out, 1);
    pgdbm__wire_int32(&backend->out, (int32_t)(bytes + padding));
    pgdbm__buffer_append(&backend->out, value, bytes);
    for (size_t i = 0; i < padding; i++)
        pgdbm__buffer_append(&backend->out, "x", 1);
    end_message(backend, begin);
}

void backend_changed_setting(struct backend *backend)
{
    size_t begin = pgdbm__wire_begin(&backend->out, 'S');
    put_text(backend, "application_name");
    put_text(backend, backend->colored ? "colored" : "plain");
    end_message(backend, begin);
}

static void deliver_notes(struct backend *backend)
{
    for (size_t i = 0; i < backend->n_inbox; i++) {
        size_t begin = pgdbm__wire_begin(&backend->out, 'A');
        pgdbm__wire_int32(&backend->out, backend->senders[i]);
        put_text(backend, backend->inbox[i].channel);
        put_text(backend, backend->inbox[i].payload);
        end_message(backend, begin);
    }
    backend->n_inbox = 0;
}

static void ready(struct backend *backend)
{
    if (backend->block == 'I') {
        transaction_commit(backend);
        deliver_notes(backend);
    }
    backend->portal.open = false;
    size_t begin = pgdbm__wire_begin(&backend->out, 'Z');
    pgdbm__buffer_append(&backend->out, &backend->block, 1);
    end_message(backend, begin);
    flush(backend, backend->out.length);
}

/* --- reading --- */

static bool next_message(struct backend *backend, struct message *message)
{
    const struct channel *channel = &backend->to_server;
    uint64_t available = channel->arrived - channel->taken;
    const unsigned char *data = (const unsigned char *)channel->bytes.data;
    if (available < 5)
        return false;
    size_t length = (size_t)data[1] << 24 | (size_t)data[2] << 16 | (size_t)data[3] << 8 | data[4];
    if (strchr("PBDECSQX", data[0]) == NULL || length < 4 || length > 100000000)
        world_fail("backend %d: not a message: type 0x%02x, %zu bytes", backend->number, data[0], length);
    if (available < length + 1)
        return false;
    *message = (struct message){(char)data[0], channel->bytes.data + 5, length - 4, 0};
    return true;
}

static void take(struct backend *backend, const struct message *message)
{
    struct channel *channel = &backend->to_server;
    size_t bytes = message->bytes + 5;
    channel->taken += bytes;
    memmove(channel->bytes.data, channel->bytes.data + bytes, channel->bytes.length - bytes);
    channel->bytes.length -= bytes;
}

static const char *get_text(struct backend *backend, struct message *message)
{
    const char *text = message->body + message->at;
    const char *end = memchr(text, '\0', message->bytes - message->at);
    if (end == NULL)
        world_fail("backend %d: a text in message %c has no end", backend->number, message->type);
    message->at = (size_t)(end - message->body) + 1;
    return text;
}

static int32_t get_number(struct backend *backend, struct message *message, size_t bytes)
{
    uint32_t number = 0;
    if (message->bytes - message->at < bytes)
        world_fail("backend %d: message %c is too short", backend->number, message->type);
    for (size_t i = 0; i < bytes; i++)
        number = number << 8 | (unsigned char)message->body[message->at++];
    return bytes == 2 ? (int16_t)number : (int32_t)number;
}

static void expect_end(struct backend *backend, const struct message *message)
{
    if (message->at != message->bytes)
        world_fail("backend %d: message %c has %zu bytes too many", backend->number, message->type,
                   message->bytes - message->at);
}

static struct prepared *find(struct backend *backend, const char *name)
{
    for (size_t i = 0; i < backend->n_prepared; i++)
        if (strcmp(backend->prepared[i].name, name) == 0)
            return &backend->prepared[i];
    return NULL;
}

static void drop(struct backend *backend, const char *name)
{
    struct prepared *prepared = find(backend, name);
    if (prepared != NULL)
        *prepared = backend->prepared[--backend->n_prepared];
}

static bool refused(struct backend *backend, const struct phrase *phrase)
{
    if (backend->block != 'E' || (phrase != NULL && phrase->ends_transaction))
        return false;
    backend_error(backend, "25P02", "current transaction is aborted", "exec_parse_message");
    return true;
}

static void on_parse(struct backend *backend, struct message *message)
{
    const char *name = get_text(backend, message);
    const char *sql = get_text(backend, message);
    int32_t n_types = get_number(backend, message, 2);
    const struct phrase *phrase = language_find(sql);
    for (int32_t i = 0; i < n_types; i++)
        (void)get_number(backend, message, 4);
    expect_end(backend, message);
    world_note("backend %d: Parse %s: %s", backend->number, name, sql);
    if (name[0] == '\0')
        drop(backend, name);
    if (phrase == NULL)
        backend_error(backend, "42601", "syntax error", "scanner_yyerror");
    else if (refused(backend, phrase))
        return;
    else if (find(backend, name) != NULL)
        backend_error(backend, "42P05", "prepared statement already exists", "StorePreparedStatement");
    else if (backend->n_prepared == sizeof backend->prepared / sizeof *backend->prepared)
        world_fail("backend %d: too many prepared statements", backend->number);
    else {
        struct prepared *prepared = &backend->prepared[backend->n_prepared++];
        memset(prepared, 0, sizeof *prepared);
        strncpy(prepared->name, name, sizeof prepared->name - 1);
        strncpy(prepared->sql, sql, sizeof prepared->sql - 1);
        prepared->shape = language_shape();
        send_bare(backend, '1');
    }
}

/* The statement, when it may be used now; else an error has been sent. */
static struct prepared *usable(struct backend *backend, const char *name)
{
    struct prepared *prepared = find(backend, name);
    if (prepared == NULL)
        backend_error(backend, "26000", "prepared statement does not exist", "FetchPreparedStatement");
    else if (refused(backend, language_find(prepared->sql)))
        return NULL;
    else if (language_is_outdated(prepared)) {
        backend_error(backend, "0A000", "cached plan must not change result type", "RevalidateCachedQuery");
        return NULL;
    }
    return prepared;
}

static void on_describe(struct backend *backend, struct message *message)
{
    if (get_number(backend, message, 1) != 'S')
        world_fail("backend %d: Describe of something else than a statement", backend->number);
    const char *name = get_text(backend, message);
    expect_end(backend, message);
    const struct prepared *prepared = usable(backend, name);
    if (prepared == NULL)
        return;
    const struct phrase *phrase = language_find(prepared->sql);
    size_t begin = pgdbm__wire_begin(&backend->out, 't');
    pgdbm__wire_int16(&backend->out, (int16_t)phrase->n_parameters);
    for (int i = 0; i < phrase->n_parameters; i++)
        pgdbm__wire_int32(&backend->out, TEXT_TYPE);
    end_message(backend, begin);
    if (!phrase->rows) {
        send_bare(backend, 'n');
        return;
    }
    begin = pgdbm__wire_begin(&backend->out, 'T');
    pgdbm__wire_int16(&backend->out, 1);
    put_text(backend, "value");
    pgdbm__wire_int32(&backend->out, 0);
    pgdbm__wire_int16(&backend->out, 0);
    pgdbm__wire_int32(&backend->out, (int32_t)language_column_type(prepared->sql));
    pgdbm__wire_int16(&backend->out, -1);
    pgdbm__wire_int32(&backend->out, -1);
    pgdbm__wire_int16(&backend->out, 0);
    end_message(backend, begin);
}

static void on_bind(struct backend *backend, struct message *message)
{
    struct portal portal = {.open = true};
    const char *portal_name = get_text(backend, message);
    const char *name = get_text(backend, message);
    int32_t n_formats = get_number(backend, message, 2);
    for (int32_t i = 0; i < n_formats; i++)
        (void)get_number(backend, message, 2);
    int32_t n_values = get_number(backend, message, 2);
    for (int32_t i = 0; i < n_values; i++) {
        int32_t bytes = get_number(backend, message, 4);
        if (i < 2 && bytes > 0 && (size_t)bytes < VALUE_BYTES && (size_t)bytes <= message->bytes - message->at)
            memcpy(portal.values[i], message->body + message->at, (size_t)bytes);
        message->at += bytes > 0 ? (size_t)bytes : 0;
    }
    int32_t n_results = get_number(backend, message, 2);
    for (int32_t i = 0; i < n_results; i++)
        (void)get_number(backend, message, 2);
    expect_end(backend, message);
    backend->portal.open = false;
    const struct prepared *prepared = usable(backend, name);
    if (prepared == NULL)
        return;
    const struct phrase *phrase = language_find(prepared->sql);
    if (portal_name[0] != '\0' || n_values != phrase->n_parameters || n_results > phrase->rows)
        world_fail("backend %d: a Bind that does not fit %s: %d values, %d results", backend->number, prepared->sql,
                   n_values, n_results);
    portal.statement = *prepared;
    backend->portal = portal;
    send_bare(backend, '2');
}

/* --- executing --- */

static void finish_execution(void *subject, int64_t execution)
{
    struct backend *backend = subject;
    if (!backend->executing || backend->execution != (uint64_t)execution)
        return;
    backend->executing = false;
    if (backend->simple) {
        world_note("backend %d: runs %.60s", backend->number, backend->query);
        (void)language_run_query(backend, backend->query);
        backend->simple = false;
        ready(backend);
    } else {
        struct portal *portal = &backend->portal;
        world_note("backend %d: runs %.40s (%s)", backend->number, portal->statement.sql, portal->values[0]);
        portal->open = false;
        language_find(portal->statement.sql)->run(backend, portal->statement.sql, portal->values);
    }
    if (world_chance(world.weather.forgetful)) {
        world_note("backend %d: forgets what was prepared", backend->number);
        backend->n_prepared = 0;
    }
    backend_run(backend);
}

static void execute(struct backend *backend, bool slow)
{
    int64_t service = world_between(1000, slow ? world.weather.slow_ns : world.weather.quick_ns);
    backend->executing = true;
    backend->execution++;
    world_at(world.now + service, finish_execution, backend, (int64_t)backend->execution);
}

static void on_execute(struct backend *backend, struct message *message)
{
    (void)get_text(backend, message);
    (void)get_number(backend, message, 4);
    expect_end(backend, message);
    if (!backend->portal.open) {
        backend_error(backend, "34000", "portal does not exist", "exec_execute_message");
        return;
    }
    const struct phrase *phrase = language_find(backend->portal.statement.sql);
    if (!refused(backend, phrase))
        execute(backend, phrase->slow);
}

static void on_query(struct backend *backend, struct message *message)
{
    strncpy(backend->query, get_text(backend, message), sizeof backend->query - 1);
    expect_end(backend, message);
    world_note("backend %d: Query %.60s", backend->number, backend->query);
    backend->simple = true;
    execute(backend, false);
}

static void on_close(struct backend *backend, struct message *message)
{
    if (get_number(backend, message, 1) != 'S')
        world_fail("backend %d: Close of something else than a statement", backend->number);
    drop(backend, get_text(backend, message));
    expect_end(backend, message);
    send_bare(backend, '3');
}

static void handle(struct backend *backend, struct message *message)
{
    if (message->type == 'X') {
        backend_exit(backend);
        return;
    }
    if (backend->ignoring && message->type != 'S')
        return;
    switch (message->type) {
    case 'P':
        on_parse(backend, message);
        break;
    case 'D':
        on_describe(backend, message);
        break;
    case 'B':
        on_bind(backend, message);
        break;
    case 'E':
        on_execute(backend, message);
        break;
    case 'C':
        on_close(backend, message);
        break;
    case 'Q':
        on_query(backend, message);
        break;
    default:
        backend->ignoring = false;
        ready(backend);
        break;
    }
}

void backend_run(struct backend *backend)
{
    struct message message;
    while (!backend->exited && !backend->executing && drain(backend)) {
        if (!next_message(backend, &message)) {
            if (backend->to_server.at_end)
                backend_exit(backend);
            else if (backend->n_inbox > 0 && backend->block == 'I' && backend->n_effects == 0) {
                deliver_notes(backend);
                flush(backend, backend->out.length);
            }
            return;
        }
        handle(backend, &message);
        take(backend, &message);
    }
}

/* --- ends --- */

void backend_cancel(struct backend *backend)
{
    if (!backend->executing || backend->exited || world_chance(100)) {
        world_note("backend %d: a cancel request comes, and nothing happens", backend->number);
        return;
    }
    bool simple = backend->simple;
    backend->executing = false;
    world_note("backend %d: is cancelled", backend->number);
    bool ending = simple && (strcmp(backend->query, "COMMIT") == 0 || strcmp(backend->query, "ROLLBACK") == 0);
    if (ending && backend->block == 'T' && world_chance(500)) { /* it had begun to end the transaction */
        transaction_undo(backend);
        backend->block = 'I';
    }
    backend_error(backend, "57014", "canceling statement due to user request", "ProcessInterrupts");
    backend->simple = false;
    if (simple)
        ready(backend);
    backend_run(backend);
}

void backend_exit(struct backend *backend)
{
    if (backend->exited)
        return;
    world_note("backend %d: ends", backend->number);
    backend->exited = true;
    backend->executing = false;
    transaction_undo(backend);
    backend->n_listening = 0;
    network_end_to_client(backend);
}

void backend_terminate(struct backend *backend)
{
    if (backend->exited)
        return;
    world_note("backend %d: is terminated", backend->number);
    send_error(backend, "FATAL", "57P01", "terminating connection due to administrator command", "ProcessInterrupts");
    flush(backend, backend->out.length);
    backend_exit(backend);
}
