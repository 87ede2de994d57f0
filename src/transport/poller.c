/* SPDX-License-Identifier: MIT */
/* Polling by epoll(7), with an eventfd(2) for wake-ups and a timerfd(2) for the timer. The set is itself in a second one,
 * beside the flag: that one is the descriptor that applications watch. */
#include "transport/poller.h"

#include "base/clock.h"
#include "base/thread.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define BATCH 64
/* Keys of our own two descriptors. */
#define KEY_EVENT UINT64_MAX
#define KEY_TIMER (UINT64_MAX - 1)

static bool add(int epoll, int fd, uint64_t key)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = key};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

void pgdbm__poller_clear(struct pgdbm__poller *poller)
{
    *poller = (struct pgdbm__poller){.outside = -1, .epoll = -1, .event = -1, .timer = -1, .flag = -1};
}

bool pgdbm__poller_init(struct pgdbm__poller *poller)
{
    poller->epoll = epoll_create1(EPOLL_CLOEXEC);
    poller->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    poller->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    poller->outside = epoll_create1(EPOLL_CLOEXEC);
    poller->flag = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return poller->epoll >= 0 && poller->event >= 0 && poller->timer >= 0 && poller->outside >= 0 &&
           poller->flag >= 0 && add(poller->epoll, poller->event, KEY_EVENT) &&
           add(poller->epoll, poller->timer, KEY_TIMER) && add(poller->outside, poller->epoll, 0) &&
           add(poller->outside, poller->flag, 0);
}

void pgdbm__poller_destroy(struct pgdbm__poller *poller)
{
    int fds[] = {poller->outside, poller->epoll, poller->event, poller->timer, poller->flag};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    pgdbm__poller_clear(poller);
}

bool pgdbm__poller_watch(struct pgdbm__poller *poller, int fd, uint64_t key, unsigned before, unsigned events)
{
    if (before == events)
        return true;
    if (poller->operations != NULL)
        return poller->operations->watch(poller, fd, key, before, events);
    struct epoll_event event = {.data.u64 = key};
    if ((events & PGDBM__POLL_IN) != 0)
        event.events |= EPOLLIN | EPOLLRDHUP;
    if ((events & PGDBM__POLL_OUT) != 0)
        event.events |= EPOLLOUT;
    /* One that is watched for nothing would still report that the other side has gone: it is taken out. */
    int operation = events == 0 ? EPOLL_CTL_DEL : before == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    return epoll_ctl(poller->epoll, operation, fd, &event) == 0;
}

void pgdbm__poller_wake(struct pgdbm__poller *poller)
{
    if (poller->operations != NULL) {
        poller->operations->wake(poller);
        return;
    }
    if (atomic_exchange(&poller->awake, true))
        return;
    uint64_t one = 1;
    int cancel_state = pgdbm__cancel_defer(); /* the caller may hold a lock */
    ssize_t written = write(poller->event, &one, sizeof one);
    (void)written; /* it can only fail when it is readable already */
    pgdbm__cancel_restore(cancel_state);
}

void pgdbm__poller_flag(struct pgdbm__poller *poller, bool up)
{
    if (poller->flagged == up)
        return;
    poller->flagged = up;
    if (poller->operations != NULL) {
        poller->operations->flag(poller, up);
        return;
    }
    uint64_t number = 1;
    int cancel_state = pgdbm__cancel_defer(); /* the caller holds a lock */
    ssize_t moved = up ? write(poller->flag, &number, sizeof number) : read(poller->flag, &number, sizeof number);
    (void)moved;
    pgdbm__cancel_restore(cancel_state);
}

void pgdbm__poller_set_timer(struct pgdbm__poller *poller, int64_t deadline)
{
    if (poller->operations != NULL) {
        poller->operations->set_timer(poller, deadline);
        return;
    }
    struct itimerspec when = {0};
    if (deadline != PGDBM__NEVER) {
        deadline = deadline > 0 ? deadline : 1; /* zero would switch it off */
        when.it_value.tv_sec = (time_t)(deadline / 1000000000);
        when.it_value.tv_nsec = (long)(deadline % 1000000000);
    }
    (void)timerfd_settime(poller->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static unsigned ready_for(uint32_t events)
{
    unsigned ready = 0;
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        ready |= PGDBM__POLL_IN;
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0)
        ready |= PGDBM__POLL_OUT;
    return ready;
}

size_t pgdbm__poller_wait(struct pgdbm__poller *poller, struct pgdbm__poll_event *events, size_t n_events,
                          int64_t deadline)
{
    if (poller->operations != NULL)
        return poller->operations->wait(poller, events, n_events, deadline);
    struct epoll_event found[BATCH];
    int count = -1;
    while (count < 0) {
        count = epoll_wait(poller->epoll, found, n_events < BATCH ? (int)n_events : BATCH,
                           deadline == 0 ? 0 : pgdbm__remaining_ms(deadline));
        if (count < 0 && errno != EINTR)
            return 0;
    }
    size_t kept = 0;
    for (int i = 0; i < count; i++) {
        uint64_t number;
        if (found[i].data.u64 == KEY_EVENT) {
            ssize_t taken = read(poller->event, &number, sizeof number);
            (void)taken;
            atomic_store(&poller->awake, false); /* after the read: a wake-up in between only costs a turn */
        } else if (found[i].data.u64 == KEY_TIMER) {
            ssize_t taken = read(poller->timer, &number, sizeof number);
            (void)taken;
        } else
            events[kept++] = (struct pgdbm__poll_event){found[i].data.u64, ready_for(found[i].events)};
    }
    return kept;
}
