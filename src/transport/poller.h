/* SPDX-License-Identifier: MIT */
/* Which of many connections has something to do: one descriptor that is readable when any of them has, when somebody
 * woke it, when its timer is up, or while it is flagged. So an application's own event loop needs to watch this one only.
 *
 * A flag is for whoever watches the descriptor alone: pgdbm__poller_wait neither sees it nor returns for it, so that a
 * thread can go on waiting for connections while there is something that others have to do.
 *
 * One thread at a time waits, and one flags; any thread adds, changes, removes, wakes and sets the timer meanwhile. */
#ifndef PGDBM_TRANSPORT_POLLER_H
#define PGDBM_TRANSPORT_POLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PGDBM__POLL_IN 1U
#define PGDBM__POLL_OUT 2U

struct pgdbm__poll_event {
    uint64_t key;
    unsigned ready; /* PGDBM__POLL_IN, PGDBM__POLL_OUT; an error or the other side's end is both */
};

struct pgdbm__poller;

/* What a simulation puts in place of the kernel. */
struct pgdbm__poller_operations {
    bool (*watch)(struct pgdbm__poller *poller, int fd, uint64_t key, unsigned before, unsigned events);
    void (*wake)(struct pgdbm__poller *poller);
    void (*flag)(struct pgdbm__poller *poller, bool up);
    void (*set_timer)(struct pgdbm__poller *poller, int64_t deadline);
    size_t (*wait)(struct pgdbm__poller *poller, struct pgdbm__poll_event *events, size_t n_events, int64_t deadline);
};

struct pgdbm__poller {
    const struct pgdbm__poller_operations *operations; /* NULL: the kernel's */
    int outside;             /* the descriptor: readable for what is in the set, and for the flag */
    int epoll, event, timer; /* the set, with what wakes it */
    int flag;                /* an eventfd that only `outside` looks at */
    _Atomic bool awake;      /* woken, and not waited since: further wake-ups cost nothing */
    bool flagged;            /* for the caller to guard */
};

/* An object without descriptors, that can be destroyed. */
void pgdbm__poller_clear(struct pgdbm__poller *poller);
/* False, with errno, when the process has no descriptors left. */
bool pgdbm__poller_init(struct pgdbm__poller *poller);
void pgdbm__poller_destroy(struct pgdbm__poller *poller);

/* Watches `fd` for `events` from now on instead of `before` (what it was watched for; 0 is not at all). `key` comes back
 * with each event. False when the kernel refuses. */
bool pgdbm__poller_watch(struct pgdbm__poller *poller, int fd, uint64_t key, unsigned before, unsigned events);

/* Makes the descriptor readable, and who waits return. */
void pgdbm__poller_wake(struct pgdbm__poller *poller);

/* Makes the descriptor readable until the flag is taken down. */
void pgdbm__poller_flag(struct pgdbm__poller *poller, bool up);

/* Makes the descriptor readable at `deadline`; PGDBM__NEVER switches it off. */
void pgdbm__poller_set_timer(struct pgdbm__poller *poller, int64_t deadline);

/* Waits until something is ready, a wake-up or the timer, or the deadline. How many events there are. */
size_t pgdbm__poller_wait(struct pgdbm__poller *poller, struct pgdbm__poll_event *events, size_t n_events,
                          int64_t deadline);

#endif
