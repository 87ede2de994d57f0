/* SPDX-License-Identifier: MIT */
/* Connections: reading and writing them, and when not to. client_pump is called whenever something has changed, and
 * does whatever can be done now. */
#include "client.h"

#include "protocol.h"
#include "server.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void client_pump(struct client *client);

/* A write under way, with its bytes. */
struct output {
    uv_write_t request;
    char *text;
};

static void unreference(struct client *client)
{
    if (--client->references == 0)
        free(client);
}

static void on_closed(uv_handle_t *handle)
{
    unreference(handle->data);
}

void client_close(struct client *client)
{
    if (client->closing)
        return;
    client->closing = true;
    server_forget(client->server, client);
    uv_close((uv_handle_t *)&client->handle, on_closed);
}

/* ---- writing ---- */

static size_t waiting_bytes(const struct client *client)
{
    return uv_stream_get_write_queue_size((const uv_stream_t *)&client->handle);
}

static bool congested(const struct client *client)
{
    return waiting_bytes(client) > CLIENT_OUTPUT;
}

static void on_written(uv_write_t *request, int status)
{
    struct output *output = request->data;
    struct client *client = request->handle->data;
    free(output->text);
    free(output);
    if (status < 0)
        client_close(client);
    else
        client_pump(client);
}

void client_write(struct client *client, char *text, size_t bytes)
{
    struct output *output = client->closing ? NULL : calloc(1, sizeof *output);
    if (output == NULL) {
        free(text);
        client_close(client);
        return;
    }
    const uv_buf_t buffer = uv_buf_init(text, (unsigned)bytes);
    output->text = text;
    output->request.data = output;
    if (uv_write(&output->request, (uv_stream_t *)&client->handle, &buffer, 1, on_written) == 0)
        return;
    free(text);
    free(output);
    client_close(client);
}

void client_say(struct client *client, const char *format, ...)
{
    enum { LINE = 2048 };
    char *line = malloc(LINE);
    va_list arguments;
    if (line == NULL) {
        client_close(client);
        return;
    }
    va_start(arguments, format);
    vsnprintf(line, LINE - 1, format, arguments);
    va_end(arguments);
    for (char *c = line; *c != '\0'; c++)
        if (*c == '\n' || *c == '\r') /* a message may have several lines, an answer has one */
            *c = ' ';
    size_t bytes = strlen(line);
    line[bytes++] = '\n';
    client_write(client, line, bytes);
}

/* ---- subscribers ---- */

static void on_missed(const pgdbm_outcome *outcome, void *context)
{
    struct client *client = context;
    struct feed_lines lines = {0};
    client->catching_up = false;
    if (outcome->status != PGDBM_OK || !feed_format(outcome->result, "EVENT", &lines))
        feed_look_later(&client->server->feed); /* after which everybody hears */
    else if (lines.count > 0 && client->subscribed && !client->closing) {
        client->position = lines.last;
        client_write(client, lines.text, lines.bytes);
        client_pump(client);
    } else
        free(lines.text);
    unreference(client);
}

/* Reads what a slow subscriber has missed, a page at a time. */
static void catch_up(struct client *client)
{
    pgdbm_error err;
    if (!client->subscribed || client->catching_up || client->closing || congested(client) ||
        client->position >= client->server->feed.seen)
        return;
    client->references++;
    client->catching_up = true;
    if (feed_read(client->server->db, client->position, on_missed, client, &err) == PGDBM_OK)
        return;
    client->catching_up = false;
    unreference(client);
    feed_look_later(&client->server->feed);
}

void client_hear(struct client *client, const struct feed_lines *lines, int64_t before)
{
    bool up_to_date = client->position == before && !client->catching_up && !congested(client);
    if (!client->subscribed || client->closing)
        return;
    if (!up_to_date || lines->count == 0) {
        catch_up(client);
        return;
    }
    char *text = malloc(lines->bytes);
    if (text == NULL) {
        client_close(client);
        return;
    }
    memcpy(text, lines->text, lines->bytes);
    client->position = lines->last;
    client_write(client, text, lines->bytes);
}

/* ---- reading ---- */

void client_begin(struct client *client)
{
    client->references++;
    client->busy = true;
}

void client_end(struct client *client)
{
    client->busy = false;
    client_pump(client);
    unreference(client);
}

static void drop_input(struct client *client, size_t bytes)
{
    client->input_bytes -= bytes;
    memmove(client->input, client->input + bytes, client->input_bytes);
}

/* Takes the next line out of the input, without its end. False when there is none yet. */
static bool take_line(struct client *client, char line[CLIENT_LINE + 1], size_t *bytes)
{
    const char *end = memchr(client->input, '\n', client->input_bytes);
    size_t length = end != NULL ? (size_t)(end - client->input) : client->input_bytes;
    bool too_long = length > CLIENT_LINE;
    if (too_long && !client->skipping)
        client_say(client, "ERROR the line is longer than %d bytes", (int)CLIENT_LINE);
    bool take = end != NULL && !too_long && !client->skipping;
    if (take) {
        *bytes = length > 0 && end[-1] == '\r' ? length - 1 : length;
        memcpy(line, client->input, *bytes);
        line[*bytes] = '\0';
    }
    client->skipping = end == NULL && (too_long || client->skipping);
    if (end != NULL || client->skipping)
        drop_input(client, end != NULL ? length + 1 : length);
    return take;
}

static bool has_line(const struct client *client)
{
    return client->input_bytes > CLIENT_LINE || memchr(client->input, '\n', client->input_bytes) != NULL;
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct client *client = handle->data;
    (void)suggested;
    *buffer = uv_buf_init(client->input + client->input_bytes, (unsigned)(CLIENT_INPUT - client->input_bytes));
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    struct client *client = stream->data;
    (void)buffer;
    if (count > 0)
        client->input_bytes += (size_t)count;
    else if (count == UV_EOF)
        client->finished = true;
    else if (count < 0)
        client_close(client);
    client_pump(client);
}

/* [pump] */
static void client_pump(struct client *client)
{
    char line[CLIENT_LINE + 1];
    size_t bytes;
    if (client->pumping) /* a line was answered at once: the loop below goes on with the next */
        return;
    client->pumping = true;
    while (!client->closing && !client->busy && !congested(client) && has_line(client))
        if (take_line(client, line, &bytes))
            protocol_line(client, line, bytes);
    client->pumping = false;
    catch_up(client);
    if (client->finished && !client->busy && !has_line(client) && waiting_bytes(client) == 0)
        client_close(client);
    bool read = !client->finished && !client->busy && !congested(client);
    if (!client->closing && read && !client->reading)
        (void)uv_read_start((uv_stream_t *)&client->handle, on_room, on_read);
    else if (!client->closing && !read && client->reading)
        (void)uv_read_stop((uv_stream_t *)&client->handle);
    client->reading = read;
}
/* [/pump] */

struct client *client_accept(struct server *server, uv_stream_t *listener)
{
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return NULL;
    client->server = server;
    client->references = 1;
    (void)uv_tcp_init(listener->loop, &client->handle);
    client->handle.data = client;
    if (uv_accept(listener, (uv_stream_t *)&client->handle) != 0) {
        client->closing = true; /* no list has it yet */
        uv_close((uv_handle_t *)&client->handle, on_closed);
        return NULL;
    }
    (void)uv_tcp_nodelay(&client->handle, 1);
    client->reading = uv_read_start((uv_stream_t *)&client->handle, on_room, on_read) == 0;
    return client;
}
