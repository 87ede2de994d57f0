/* SPDX-License-Identifier: MIT */
/* UNSTABLE: this header may change in any version. A fake PostgreSQL server for tests of what real servers hardly ever do
 * (part of <pgdbm/testkit.h>): it follows a script, step by step.
 *
 *     pgdbm_testfake_step script[] = {
 *         PGDBM_FAKE_GREETING,
 *         PGDBM_FAKE_EXPECT('Q'),
 *         PGDBM_FAKE_COLUMNS("id", "email"),
 *         PGDBM_FAKE_ROW("1", "alice@example.com"),
 *         PGDBM_FAKE_CUT(3), // the next message breaks off
 *         PGDBM_FAKE_ROW("2", NULL),
 *     };
 *     pgdbm_testfake *fake = NULL;
 *     if (pgdbm_testfake_start(&(pgdbm_testfake_options){PGDBM_FAKE_STEPS(script)}, &fake, &err) != PGDBM_OK) ...
 *     ... connect to pgdbm_testfake_url(fake), and see what the client makes of it ...
 *     if (pgdbm_testfake_stop(fake, &err) != PGDBM_OK) ... the client did not send what the script expected
 *
 * Every connection runs its script from the beginning, in a thread of the fake's in this process. After the last step it
 * stays open, and what comes is read and forgotten, until the client closes it or the fake is stopped: a script without
 * steps is a server that never answers.
 *
 * Before the first step a connection is opened: SSLRequest and GSSENCRequest are answered with N, a cancel request is
 * counted and closed, and neither counts as a connection. The script begins when something else has come.
 *
 * An expectation that is not met ends its connection, and the first of all is reported by pgdbm_testfake_stop and
 * pgdbm_testfake_await: its connection and step (both counted from 1), what was expected, and what came. A client that is
 * gone while the fake sends ends its script, too, but is no failure; neither are steps that had not been reached when the
 * fake was stopped: pgdbm_testfake_await says whether they were. */
#ifndef PGDBM_TESTFAKE_H
#define PGDBM_TESTFAKE_H

#include <pgdbm/error.h>
#include <stdint.h>

typedef enum pgdbm_testfake_kind {
    PGDBM_TESTFAKE_EXPECT_STARTUP = 1,
    PGDBM_TESTFAKE_EXPECT_MESSAGE,
    PGDBM_TESTFAKE_EXPECT_UNTIL,
    PGDBM_TESTFAKE_EXPECT_BYTES,
    PGDBM_TESTFAKE_SEND,
    PGDBM_TESTFAKE_MESSAGE,
    PGDBM_TESTFAKE_GREETING,
    PGDBM_TESTFAKE_TEXTS,
    PGDBM_TESTFAKE_COLUMNS,
    PGDBM_TESTFAKE_ROW,
    PGDBM_TESTFAKE_REPORT,
    PGDBM_TESTFAKE_GARBAGE,
    PGDBM_TESTFAKE_DELAY,
    PGDBM_TESTFAKE_SLOW_READS,
    PGDBM_TESTFAKE_SLOW_WRITES,
    PGDBM_TESTFAKE_WAIT,
    PGDBM_TESTFAKE_LOOP,
    PGDBM_TESTFAKE_CUT,
    PGDBM_TESTFAKE_CLOSE,
    PGDBM_TESTFAKE_RESET,
    PGDBM_TESTFAKE_REFUSE
} pgdbm_testfake_kind;

/* Made by the macros below; what a kind does not use stays zero. */
typedef struct pgdbm_testfake_step {
    pgdbm_testfake_kind kind;
    char type;        /* of a message */
    const void *data; /* bytes to expect or to send, a text to look for; NULL: none */
    size_t bytes;
    const char *const *texts; /* the texts of a message; NULL in a row: SQL NULL */
    size_t n_texts;
    int64_t number; /* how many bytes, steps */
    int64_t more;   /* milliseconds, times, the seed */
} pgdbm_testfake_step;

typedef struct pgdbm_testfake_script {
    const pgdbm_testfake_step *steps;
    size_t n_steps;
} pgdbm_testfake_script;

/* ---- what is expected ---- */

/* A startup message of protocol 3. */
#define PGDBM_FAKE_EXPECT_STARTUP                                                                                      \
    {                                                                                                                  \
        .kind = PGDBM_TESTFAKE_EXPECT_STARTUP                                                                          \
    }
/* The next message: of this type ('Q', 'P', ...); and with this piece of text in it. */
#define PGDBM_FAKE_EXPECT(message_type)                                                                                \
    {                                                                                                                  \
        .kind = PGDBM_TESTFAKE_EXPECT_MESSAGE, .type = (message_type)                                                  \
    }
#define PGDBM_FAKE_EXPECT_TEXT(message_type, piece)                                                                    \
    {                                                                                                                  \
        .kind = PGDBM_TESTFAKE_EXPECT_MESSAGE, .type = (message_type), PGDBM_FAKE_BYTES_(piece)                        \
    }
/* Any messages, up to and with the first of this type. */
#define PGDBM_FAKE_EXPECT_UNTIL(message_type)                                                                          \
    {                                                                                                                  \
        .kind = PGDBM_TESTFAKE_EXPECT_UNTIL, .type = (message_type)                                                    \
    }
/* Exactly the bytes of this literal, which may contain \0. */
#define PGDBM_FAKE_EXPECT_BYTES(literal)                                                                               \
    {                                                                                                                  \
        .kind = PGDBM_TESTFAKE_EXPECT_BYTES, PGDBM_FAKE_BYTES_(literal)                                                \
    }

/* ---- what is sent: one message each, well-formed, unless said otherwise ---- */

/* The bytes of this literal, whatever they are. */
#define PGDBM_FAKE_SEND(literal)                                                                                       \
    {                                                                                                                  \
        .kind = PGDBM_TESTFAKE_SEND, PGDBM_FAKE_BYTES_(literal)                                                        \
    }
/* That many bytes at random; the same seed gives the same ones. */
#define PGDBM_FAKE_GARBAGE(seed, n_bytes)                                                                              \
    {                                                                                                                  \
        .kind = PGDBM_TESTFAKE_GARBAGE, .number = (n_bytes), .more = (seed)                                            \
    }
/* A message of this type, with this literal as its body. */
#define PGDBM_FAKE_MESSAGE(message_type, literal)                                                                      \
    {                                                                                                                  \
        .kind = PGDBM_TESTFAKE_MESSAGE, .type = (message_type), PGDBM_FAKE_BYTES_(literal)                             \
    }
/* A whole welcome: expects the startup message, then AuthenticationOk, the settings that drivers look at (UTF8, UTC, ISO
 * dates, server_version 17.0), BackendKeyData, and ReadyForQuery. */
#define PGDBM_FAKE_GREETING                                                                                            \
    {                                                                                                                  \
        .kind = PGDBM_TESTFAKE_GREETING                                                                                \
    }
#define PGDBM_FAKE_AUTHENTICATION_OK PGDBM_FAKE_MESSAGE('R', "\0\0\0\0")
#define PGDBM_FAKE_BACKEND_KEY PGDBM_FAKE_MESSAGE('K', "\0\0\x30\x39\0\x01\x02\x03") /* process 12345 */
#define PGDBM_FAKE_PARAMETER(name, value) PGDBM_FAKE_TEXTS_(PGDBM_TESTFAKE_TEXTS, 'S', name, value)
/* ReadyForQuery; "I": idle, "T": in a transaction, "E": in a failed one. */
#define PGDBM_FAKE_READY(letter) PGDBM_FAKE_MESSAGE('Z', letter)
#define PGDBM_FAKE_PARSE_COMPLETE PGDBM_FAKE_MESSAGE('1', "")
#define PGDBM_FAKE_BIND_COMPLETE PGDBM_FAKE_MESSAGE('2', "")
#define PGDBM_FAKE_CLOSE_COMPLETE PGDBM_FAKE_MESSAGE('3', "")
#define PGDBM_FAKE_NO_PARAMETERS PGDBM_FAKE_MESSAGE('t', "\0\0") /* ParameterDescription */
#define PGDBM_FAKE_NO_DATA PGDBM_FAKE_MESSAGE('n', "")
/* RowDescription of columns of type text; and a row of texts, NULL for SQL NULL. A text is the same in binary. */
#define PGDBM_FAKE_COLUMNS(...) PGDBM_FAKE_TEXTS_(PGDBM_TESTFAKE_COLUMNS, 'T', __VA_ARGS__)
#define PGDBM_FAKE_ROW(...) PGDBM_FAKE_TEXTS_(PGDBM_TESTFAKE_ROW, 'D', __VA_ARGS__)
/* CommandComplete, as PGDBM_FAKE_COMMAND("SELECT 2"). */
#define PGDBM_FAKE_COMMAND(tag) PGDBM_FAKE_TEXTS_(PGDBM_TESTFAKE_TEXTS, 'C', tag)
/* ErrorResponse and NoticeResponse: ("ERROR", "22012", "division by zero"). */
#define PGDBM_FAKE_ERROR(severity, sqlstate, message)                                                                  \
    PGDBM_FAKE_TEXTS_(PGDBM_TESTFAKE_REPORT, 'E', severity, sqlstate, message)
#define PGDBM_FAKE_NOTICE(severity, sqlstate, message)                                                                 \
    PGDBM_FAKE_TEXTS_(PGDBM_TESTFAKE_REPORT, 'N', severity, sqlstate, message)

/* ---- time ---- */

/* Nothing, for so long; nothing is read meanwhile. At most a minute. */
#define PGDBM_FAKE_DELAY(milliseconds)                                                                                 \
    {                                                                                                                  \
        .kind = PGDBM_TESTFAKE_DELAY, .more = (milliseconds)                                                           \
    }
/* From now on at most so many bytes are read, or sent, at a time, and after each lot nothing happens for so long (0: each
 * lot is a system call of its own). 0 bytes: at full speed again. */
#define PGDBM_FAKE_SLOW_READS(n_bytes, milliseconds)                                                                   \
    {                                                                                                                  \
        .kind = PGDBM_TESTFAKE_SLOW_READS, .number = (n_bytes), .more = (milliseconds)                                 \
    }
#define PGDBM_FAKE_SLOW_WRITES(n_bytes, milliseconds)                                                                  \
    {                                                                                                                  \
        .kind = PGDBM_TESTFAKE_SLOW_WRITES, .number = (n_bytes), .more = (milliseconds)                                \
    }
/* Until the test calls pgdbm_testfake_proceed; nothing is read meanwhile. */
#define PGDBM_FAKE_WAIT                                                                                                \
    {                                                                                                                  \
        .kind = PGDBM_TESTFAKE_WAIT                                                                                    \
    }
/* The `n_last` steps before this one again, so many times (more than the first); and until the client goes: a Terminate
 * message or the end of the connection is then no failure where such a round begins. */
#define PGDBM_FAKE_REPEAT(n_last, times)                                                                               \
    {                                                                                                                  \
        .kind = PGDBM_TESTFAKE_LOOP, .number = (n_last), .more = (times)                                               \
    }
#define PGDBM_FAKE_FOREVER(n_last)                                                                                     \
    {                                                                                                                  \
        .kind = PGDBM_TESTFAKE_LOOP, .number = (n_last), .more = -1                                                    \
    }

/* ---- the end ---- */

/* From now on so many bytes are sent, and then the connection is closed, be it in the middle of a message. */
#define PGDBM_FAKE_CUT(n_bytes)                                                                                        \
    {                                                                                                                  \
        .kind = PGDBM_TESTFAKE_CUT, .number = (n_bytes)                                                                \
    }
/* In order: the client reads all that was sent, and then the end. */
#define PGDBM_FAKE_CLOSE                                                                                               \
    {                                                                                                                  \
        .kind = PGDBM_TESTFAKE_CLOSE                                                                                   \
    }
/* Connection reset by peer. Not on a unix socket, which knows no such thing. */
#define PGDBM_FAKE_RESET                                                                                               \
    {                                                                                                                  \
        .kind = PGDBM_TESTFAKE_RESET                                                                                   \
    }
/* From now on further connections are refused; this one goes on. */
#define PGDBM_FAKE_REFUSE                                                                                              \
    {                                                                                                                  \
        .kind = PGDBM_TESTFAKE_REFUSE                                                                                  \
    }

typedef enum pgdbm_testfake_door {
    PGDBM_TESTFAKE_OPEN = 0,
    PGDBM_TESTFAKE_SHUT,   /* connections are refused until the first pgdbm_testfake_proceed */
    PGDBM_TESTFAKE_UNHEARD /* connections are made, but not accepted until the first pgdbm_testfake_proceed */
} pgdbm_testfake_door;

/* All zero: a server that never answers. The script is copied. */
typedef struct pgdbm_testfake_options {
    const pgdbm_testfake_step *steps; /* for every connection; or: */
    size_t n_steps;
    const pgdbm_testfake_script *scripts; /* one for each connection, in their order, the last for all that follow */
    size_t n_scripts;
    pgdbm_testfake_door door;
    bool unix_socket; /* in a private directory, instead of a free port on 127.0.0.1 */
    bool bare;        /* connections are not opened: their scripts begin at once, whatever comes is theirs */
} pgdbm_testfake_options;

/* An array of steps, as `.steps` and `.n_steps`. */
#define PGDBM_FAKE_STEPS(array) .steps = (array), .n_steps = sizeof(array) / sizeof *(array)

#define PGDBM_FAKE_BYTES_(literal) .data = ("" literal), .bytes = sizeof(literal) - 1
#define PGDBM_FAKE_TEXTS_(step_kind, message_type, ...)                                                                \
    {                                                                                                                  \
        .kind = (step_kind), .type = (message_type), .texts = (const char *const[]){__VA_ARGS__},                      \
        .n_texts = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)                                   \
    }

typedef struct pgdbm_testfake pgdbm_testfake;

PGDBM_BEGIN_DECLS

PGDBM_EXPORT pgdbm_status pgdbm_testfake_start_sized(const pgdbm_testfake_options *options, size_t options_bytes,
                                                     pgdbm_testfake **fake, pgdbm_error *err);

/* Starts a server; it listens when this returns. `options` may be NULL. `*fake` is the caller's, released with
 * pgdbm_testfake_stop. Errors: ARGUMENT (a bad script: names the step), TESTDB (the system gives no socket, no thread),
 * NOMEM. Any thread may call this and the other functions, also for one fake at the same time, but for
 * pgdbm_testfake_stop, after which there is none. */
static inline pgdbm_status pgdbm_testfake_start(const pgdbm_testfake_options *options, pgdbm_testfake **fake,
                                                pgdbm_error *err)
{
    return pgdbm_testfake_start_sized(options, sizeof *options, fake, err);
}

/* Its connection string (user and database "postgres"), borrowed from the fake; and its port, 0 for a unix socket. */
PGDBM_EXPORT const char *pgdbm_testfake_url(const pgdbm_testfake *fake);
PGDBM_EXPORT int pgdbm_testfake_port(const pgdbm_testfake *fake);

/* Opens the door if it is not open; else lets one PGDBM_FAKE_WAIT pass, that is or will be reached. */
PGDBM_EXPORT void pgdbm_testfake_proceed(pgdbm_testfake *fake);

/* All steps of a connection's script, or as many as could be done before it ended otherwise. */
#define PGDBM_TESTFAKE_ALL SIZE_MAX

/* Waits until a connection (1: the first) has done so many steps; 0: until it has come. A step that is repeated counts each
 * time, and so does the step that repeats. Negative `timeout_ms`: without a limit. Errors: ARGUMENT; TIMEOUT; TESTDB (an
 * expectation that was not met, on any connection; the connection ended before). */
PGDBM_EXPORT pgdbm_status pgdbm_testfake_await(pgdbm_testfake *fake, size_t connection, size_t steps, int timeout_ms,
                                               pgdbm_error *err);

/* How many connections have come, and how many cancel requests. */
PGDBM_EXPORT size_t pgdbm_testfake_connections(pgdbm_testfake *fake);
PGDBM_EXPORT size_t pgdbm_testfake_cancels(pgdbm_testfake *fake);

/* Closes all connections, waits for the fake's threads and releases it, also when it returns an error. NULL is legal.
 * Errors: TESTDB (the first expectation that was not met, in message and detail), NOMEM. */
PGDBM_EXPORT pgdbm_status pgdbm_testfake_stop(pgdbm_testfake *fake, pgdbm_error *err);

PGDBM_END_DECLS
#endif
