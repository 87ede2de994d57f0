/* SPDX-License-Identifier: MIT */
/* The same event loop by hand, on libpq: connections in pipeline mode, each with its share of the statements in flight.
 * What has come is read whenever a connection is readable, every answer makes room for the next statement, and what was
 * composed meanwhile leaves in one go, as far as libpq lets it. */
#include "bench.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { DEPTH = BENCH_IN_FLIGHT / BENCH_CONNECTIONS };

struct pipe {
    PGconn *connection;
    int asked[DEPTH]; /* a ring: the accounts asked for, in order */
    unsigned sent, answered;
    unsigned syncs;     /* still to come */
    bool waits_to_send; /* the socket is full */
};

struct bench_pipeline {
    int loop;
    bool one_sync, stop;
    long long statements;
    struct pipe pipes[BENCH_CONNECTIONS];
};

struct bench_pipeline *bench_pipeline_open(const struct bench *bench)
{
    struct bench_pipeline *pipeline = calloc(1, sizeof *pipeline);
    bench_expect(pipeline != NULL && (pipeline->loop = epoll_create1(EPOLL_CLOEXEC)) >= 0, "no event loop");
    for (int i = 0; i < BENCH_CONNECTIONS; i++) {
        PGconn *connection = pipeline->pipes[i].connection = bench_connect_prepared(bench);
        bench_must_libpq(PQsetnonblocking(connection, 1) == 0 && PQenterPipelineMode(connection) == 1, connection,
                         "pipeline mode");
        struct epoll_event watched = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        bench_expect(epoll_ctl(pipeline->loop, EPOLL_CTL_ADD, PQsocket(connection), &watched) == 0, "no event loop");
    }
    return pipeline;
}

void bench_pipeline_close(struct bench_pipeline *pipeline)
{
    for (int i = 0; i < BENCH_CONNECTIONS; i++)
        PQfinish(pipeline->pipes[i].connection);
    close(pipeline->loop);
    free(pipeline);
}

static void sync_pipe(struct pipe *pipe)
{
#ifdef LIBPQ_HAS_SEND_PIPELINE_SYNC
    int good = PQsendPipelineSync(pipe->connection); /* leaves with the flush */
#else
    int good = PQpipelineSync(pipe->connection); /* always flushes */
#endif
    bench_must_libpq(good == 1, pipe->connection, "sync");
    pipe->syncs++;
}

static void send_one(struct bench_pipeline *pipeline, struct pipe *pipe)
{
    int id = (int)(pipeline->statements++ % BENCH_ROWS) + 1;
    uint32_t wire = htonl((uint32_t)id);
    const char *values[] = {(const char *)&wire};
    const int lengths[] = {4};
    const int formats[] = {1};
    bench_must_libpq(PQsendQueryPrepared(pipe->connection, "account", 1, values, lengths, formats, 1) == 1,
                     pipe->connection, "sending");
    pipe->asked[pipe->sent++ % DEPTH] = id;
    if (!pipeline->one_sync)
        sync_pipe(pipe);
}

static void flush(struct bench_pipeline *pipeline, struct pipe *pipe)
{
    int left = PQflush(pipe->connection);
    bench_must_libpq(left >= 0, pipe->connection, "flushing");
    if ((left == 1) == pipe->waits_to_send)
        return;
    pipe->waits_to_send = left == 1;
    struct epoll_event watched = {.events = pipe->waits_to_send ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                  .data.u32 = (uint32_t)(pipe - pipeline->pipes)};
    bench_expect(epoll_ctl(pipeline->loop, EPOLL_CTL_MOD, PQsocket(pipe->connection), &watched) == 0, "no event loop");
}

static void refill(struct bench_pipeline *pipeline, struct pipe *pipe)
{
    unsigned before = pipe->sent;
    while (!pipeline->stop && pipe->sent - pipe->answered < DEPTH)
        send_one(pipeline, pipe);
    if (pipeline->one_sync && pipe->sent != before)
        sync_pipe(pipe);
    if (pipe->sent != before || pipe->waits_to_send)
        flush(pipeline, pipe);
}

static void take_answers(struct pipe *pipe)
{
    bench_must_libpq(PQconsumeInput(pipe->connection) == 1, pipe->connection, "reading");
    while (pipe->syncs > 0 && PQisBusy(pipe->connection) == 0) {
        PGresult *result = PQgetResult(pipe->connection);
        if (result == NULL)
            continue; /* between two statements */
        if (PQresultStatus(result) == PGRES_PIPELINE_SYNC)
            pipe->syncs--;
        else {
            bench_must_libpq(PQresultStatus(result) == PGRES_TUPLES_OK, pipe->connection, "select");
            bench_check_libpq_row(result, pipe->asked[pipe->answered++ % DEPTH]);
        }
        PQclear(result);
    }
}

static bool turn(struct bench_pipeline *pipeline)
{
    struct epoll_event ready[BENCH_CONNECTIONS];
    int count = epoll_wait(pipeline->loop, ready, BENCH_CONNECTIONS, -1);
    for (int i = 0; i < count; i++) {
        struct pipe *pipe = &pipeline->pipes[ready[i].data.u32];
        if ((ready[i].events & ~(uint32_t)EPOLLOUT) != 0)
            take_answers(pipe);
        refill(pipeline, pipe);
    }
    for (int i = 0; i < BENCH_CONNECTIONS; i++)
        if (pipeline->pipes[i].syncs > 0)
            return true;
    return false;
}

struct bench_speed bench_pipeline_run(struct bench_pipeline *pipeline, double seconds, bool one_sync)
{
    double since = bench_now();
    double cpu = bench_thread_cpu();
    pipeline->one_sync = one_sync;
    pipeline->stop = false;
    pipeline->statements = 0;
    for (int i = 0; i < BENCH_CONNECTIONS; i++)
        refill(pipeline, &pipeline->pipes[i]);
    while (turn(pipeline))
        pipeline->stop = bench_now() - since >= seconds;
    double statements = (double)pipeline->statements;
    return (struct bench_speed){.rate = statements / (bench_now() - since),
                                .cpu = (bench_thread_cpu() - cpu) / statements * 1e6};
}
