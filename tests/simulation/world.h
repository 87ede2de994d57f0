/* SPDX-License-Identifier: MIT */
/* The simulated world: its clock, its chance, what happens when, and the diary of it all. Everything follows from the
 * seed, so a run that failed can be watched again. There is one world at a time. */
#ifndef PGDBM_TESTS_SIMULATION_WORLD_H
#define PGDBM_TESTS_SIMULATION_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORLD_EFFECTS 4096

/* How hard life is in this world; drawn from the seed. */
struct weather {
    bool calm;                     /* no connection dies, and none is refused */
    int64_t latency_ns, jitter_ns; /* of the network, one way */
    int64_t quick_ns, slow_ns;     /* what the server is at an ordinary statement, and at a slow one, at most */
    size_t socket_bytes;           /* what a connection holds in each direction */
    unsigned partial;              /* the share (of 1000) of sends and receives that move a part only, */
    unsigned again;                /* of those that move nothing, */
    unsigned mortal;               /* of connections that die at some byte, */
    unsigned refused;              /* of attempts to connect that fail, */
    unsigned cancel_lost;          /* of cancel requests that get lost, */
    unsigned forgetful;            /* of statements after which the server forgets what was prepared, */
    unsigned morphing;             /* and after which a column changes its type */
};

struct world {
    uint64_t seed;
    int64_t now;
    struct weather weather;
    uint64_t diary_hash, diary_lines;
    bool print;
    bool blocked; /* a thread waits in the poller: nothing but other threads and time go on */
    int nested;   /* something goes on while another thread waits for the network */
    unsigned applied[WORLD_EFFECTS]; /* the ledger: how often each effect was committed */
    void (*meanwhile)(void);         /* what other threads do while one waits for the network */
};

extern struct world world;

void world_begin(uint64_t seed, bool print);
void world_end(void);

/* A number below `limit`; one of low ... high; true in `permille` of 1000 cases. */
uint64_t world_random(uint64_t limit);
int64_t world_between(int64_t low, int64_t high);
bool world_chance(unsigned permille);

/* The clock that the library is given. Reading it takes time, too. */
int64_t world_clock(void);

/* `run(subject, argument)` happens at `time`, in order. */
void world_at(int64_t time, void (*run)(void *subject, int64_t argument), void *subject, int64_t argument);
/* Lets the next thing happen if it is due by `limit`, else waits until then. False when nothing happened. */
bool world_advance(int64_t limit);
bool world_is_quiet(void);

/* Writes a line of the diary. */
void world_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Something is wrong: says so, with the seed, and ends the program. */
void world_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
