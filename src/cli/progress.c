/* SPDX-License-Identifier: MIT */
/* The line's state, the thread that draws it, and the drawing. */
#include "progress.h"

#include "command.h"
#include "output.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_MS = 1000, EACH_MS = 100, CELLS = 24, TEXT_BYTES = 256 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards all that follows but `drawer` */
static pthread_cond_t ended;
static bool running;
static bool drawn;
static size_t done, total;
static char text[TEXT_BYTES];
static struct timespec begun;

static pthread_t drawer; /* of the thread that ends the line */

bool pgdbm__cli_progress_is_shown(void)
{
    const char *terminal = getenv("TERM");
    return !pgdbm__cli_settings.quiet && isatty(STDERR_FILENO) && (terminal == NULL || strcmp(terminal, "dumb") != 0);
}

static double elapsed_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begun.tv_sec) + (double)(now.tv_nsec - begun.tv_nsec) / 1e9;
}

static size_t width(void)
{
    struct winsize size = {0};
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

static void write_duration(char *into, size_t bytes, double seconds)
{
    unsigned long whole = (unsigned long)seconds;
    if (whole < 60)
        snprintf(into, bytes, "%lu s", whole);
    else if (whole < 3600)
        snprintf(into, bytes, "%lu:%02lu min", whole / 60, whole % 60);
    else
        snprintf(into, bytes, "%lu:%02lu h", whole / 3600, whole / 60 % 60);
}

/* Under the mutex. A line longer than the terminal would wrap, and could not be wiped away. */
static void draw(void)
{
    char bar[CELLS + 1];
    char line[TEXT_BYTES * 2];
    char took[32], left[48] = "";
    double seconds = elapsed_s();
    size_t full = total > 0 ? (done < total ? done : total) * CELLS / total : 0;
    memset(bar, '.', CELLS);
    memset(bar, '#', full);
    bar[CELLS] = '\0';
    write_duration(took, sizeof took, seconds);
    if (done > 0 && done < total) {
        char time[32];
        write_duration(time, sizeof time, seconds / (double)done * (double)(total - done));
        snprintf(left, sizeof left, ", about %s left", time);
    }
    if (total > 0)
        snprintf(line, sizeof line, "[%s] %3zu %% %zu/%zu %s%s  %s", bar, done * 100 / total, done, total, took, left,
                 text);
    else
        snprintf(line, sizeof line, "%s  %s", took, text);
    fputs("\r\033[K", stderr);
    pgdbm__cli_put_text(stderr, line, strnlen(line, width() - 1), false);
    fflush(stderr);
    drawn = true;
}

static struct timespec in_ms(long ms)
{
    struct timespec when;
    clock_gettime(CLOCK_MONOTONIC, &when);
    when.tv_nsec += ms * 1000000;
    when.tv_sec += when.tv_nsec / 1000000000;
    when.tv_nsec %= 1000000000;
    return when;
}

static void *keep_drawing(void *unused)
{
    pthread_mutex_lock(&mutex);
    struct timespec next = in_ms(FIRST_MS);
    while (running) {
        if (pthread_cond_timedwait(&ended, &mutex, &next) == 0 || !running)
            continue;
        draw();
        next = in_ms(EACH_MS);
    }
    pthread_mutex_unlock(&mutex);
    return unused;
}

/* Under the mutex. Without a thread there is no line, and nothing else is different. */
static void start(void)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    clock_gettime(CLOCK_MONOTONIC, &begun);
    pthread_cond_init(&ended, &attributes);
    pthread_condattr_destroy(&attributes);
    running = true;
    running = pthread_create(&drawer, NULL, keep_drawing, NULL) == 0;
}

void pgdbm__cli_progress_say(size_t now_done, size_t now_total, const char *format, ...)
{
    if (!pgdbm__cli_progress_is_shown())
        return;
    va_list arguments;
    va_start(arguments, format);
    pthread_mutex_lock(&mutex);
    if (!running)
        start();
    done = now_done;
    total = now_total;
    vsnprintf(text, sizeof text, format, arguments);
    pthread_mutex_unlock(&mutex);
    va_end(arguments);
}

void pgdbm__cli_progress_end(void)
{
    pthread_mutex_lock(&mutex);
    bool was_running = running;
    running = false;
    if (was_running)
        pthread_cond_signal(&ended);
    pthread_mutex_unlock(&mutex);
    if (!was_running)
        return;
    pthread_join(drawer, NULL);
    pthread_cond_destroy(&ended);
    if (drawn)
        fputs("\r\033[K", stderr);
    drawn = false;
}
