/* SPDX-License-Identifier: MIT */
/* Every test program runs its cmocka groups through here (the linker replaces _cmocka_run_group_tests):
 *
 * - in an order that PGDBM_TEST_SEED decides, if it is set, so that no test can come to depend on the one before it;
 * - each test within a limit, so that a hanging one fails by its name. The program ends then: what hangs may hold any
 *   lock, and no later test could be trusted. PGDBM_TEST_LIMIT_S changes the limit.
 *
 * Only the thread that runs the tests comes here, but the signal may arrive in any. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_S 60
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOWER 4
#else
#define SLOWER 1
#endif

int __real__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t n_tests,
                                   CMFixtureFunction setup, CMFixtureFunction teardown);
int __wrap__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t n_tests,
                                   CMFixtureFunction setup, CMFixtureFunction teardown);

static const struct CMUnitTest *originals; /* in the order they run in */
static const char *volatile running;
static size_t n_begun;
static timer_t timer;
static int limit_s;

/* Whatever thread this interrupts: only calls that are safe in a signal handler. */
static void give_up(int number)
{
    (void)number;
    char text[400] = "[  FAILED  ] ";
    const char *const pieces[] = {running, " did not end within its time limit (PGDBM_TEST_LIMIT_S)\n"};
    size_t used = strlen(text);
    for (size_t i = 0; i < 2; i++)
        for (const char *at = pieces[i]; *at != '\0' && used < sizeof text; at++)
            text[used++] = *at;
    ssize_t written = write(STDERR_FILENO, text, used);
    (void)written;
    _exit(1);
}

static void set_timer(int seconds)
{
    const struct itimerspec when = {.it_value.tv_sec = seconds};
    timer_settime(timer, 0, &when, NULL);
}

static int before(void **state)
{
    const struct CMUnitTest *test = &originals[n_begun++];
    running = test->name;
    set_timer(limit_s);
    return test->setup_func != NULL ? test->setup_func(state) : 0;
}

static int after(void **state)
{
    const struct CMUnitTest *test = &originals[n_begun - 1];
    int outcome = test->teardown_func != NULL ? test->teardown_func(state) : 0;
    set_timer(0);
    return outcome;
}

static uint64_t next_number(uint64_t *seed)
{
    *seed += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t number = *seed;
    number = (number ^ (number >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    number = (number ^ (number >> 27)) * UINT64_C(0x94D049BB133111EB);
    return number ^ (number >> 31);
}

static void shuffle(struct CMUnitTest *tests, size_t n_tests)
{
    const char *text = getenv("PGDBM_TEST_SEED");
    if (text == NULL || text[0] == '\0')
        return;
    uint64_t seed = strtoull(text, NULL, 10);
    for (size_t i = n_tests; i > 1; i--) {
        size_t other = next_number(&seed) % i;
        struct CMUnitTest kept = tests[i - 1];
        tests[i - 1] = tests[other];
        tests[other] = kept;
    }
    print_message("[ order    ] PGDBM_TEST_SEED=%s\n", text);
}

int __wrap__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t n_tests,
                                   CMFixtureFunction setup, CMFixtureFunction teardown)
{
    const char *chosen = getenv("PGDBM_TEST_LIMIT_S");
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMAX};
    struct sigaction action = {.sa_handler = give_up};
    struct CMUnitTest *ordered = calloc(n_tests, sizeof *ordered);
    struct CMUnitTest *guarded = calloc(n_tests, sizeof *guarded);
    int outcome = 1;
    if (ordered == NULL || guarded == NULL || sigaction(SIGRTMAX, &action, NULL) != 0 ||
        timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) {
        perror("tests cannot be run");
        goto done;
    }
    limit_s = chosen != NULL && atoi(chosen) > 0 ? atoi(chosen) : LIMIT_S * SLOWER;
    memcpy(ordered, tests, n_tests * sizeof *tests);
    shuffle(ordered, n_tests);
    memcpy(guarded, ordered, n_tests * sizeof *ordered);
    for (size_t i = 0; i < n_tests; i++) {
        guarded[i].setup_func = before;
        guarded[i].teardown_func = after;
    }
    originals = ordered;
    n_begun = 0;
    outcome = __real__cmocka_run_group_tests(name, guarded, n_tests, setup, teardown);
    timer_delete(timer);
done:
    free(guarded);
    free(ordered);
    return outcome;
}
