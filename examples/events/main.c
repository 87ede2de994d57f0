/* SPDX-License-Identifier: MIT */
/* events: a TCP server that pushes what is published to whoever subscribed, whichever instance they are connected to.
 *
 *     DATABASE_URL=postgresql://... example-events [PORT]      7007 by default; 0 takes a free one and says which
 *     nc 127.0.0.1 7007                                        SUBSCRIBE, PUBLISH text, LAST n (protocol.h)
 *
 * One thread and one libuv loop serve everything: sockets (client.c), statements (protocol.c), and the notifications by
 * which instances hear of each other (feed.c). Events are rows of a table in the schema `events`, which the program
 * brings along (migrations/); a notification only says that there are new ones, so nothing is lost when a connection
 * is. SIGINT and SIGTERM end it cleanly. */
#include "server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { DEFAULT_PORT = 7007, SIGNALS = 2 };

struct program {
    uv_loop_t loop;
    struct server server;
    uv_signal_t signals[SIGNALS];
};

static void stop(struct program *program)
{
    for (int i = 0; i < SIGNALS; i++)
        uv_close((uv_handle_t *)&program->signals[i], NULL);
    server_close(&program->server);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    stop(handle->data);
}

static void watch_signals(struct program *program)
{
    static const int numbers[SIGNALS] = {SIGINT, SIGTERM};
    signal(SIGPIPE, SIG_IGN); /* a client that has gone is an error of its write */
    for (int i = 0; i < SIGNALS; i++) {
        (void)uv_signal_init(&program->loop, &program->signals[i]);
        program->signals[i].data = program;
        (void)uv_signal_start(&program->signals[i], on_signal, numbers[i]);
    }
}

/* The port that is asked for, or -1. */
static int read_port(int argc, char **argv)
{
    char *rest = NULL;
    long port = argc == 2 ? strtol(argv[1], &rest, 10) : DEFAULT_PORT;
    bool whole = argc == 1 || (argc == 2 && rest != argv[1] && *rest == '\0');
    return whole && port >= 0 && port <= 65535 ? (int)port : -1;
}

int main(int argc, char **argv)
{
    static struct program program;
    pgdbm_error err = {0};
    int port = read_port(argc, argv);
    if (port < 0 || uv_loop_init(&program.loop) != 0) {
        fprintf(stderr, "usage: example-events [PORT]   (DATABASE_URL says which database)\n");
        return 2;
    }
    watch_signals(&program);
    if (server_open(&program.server, &program.loop, getenv("DATABASE_URL"), port, &err) != PGDBM_OK) {
        fprintf(stderr, "events: %s\n%s\n", err.message, err.hint);
        stop(&program);
    } else {
        printf("listening to 127.0.0.1:%d\n", server_port(&program.server));
        fflush(stdout);
    }
    uv_run(&program.loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&program.loop);
    return err.status == PGDBM_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
