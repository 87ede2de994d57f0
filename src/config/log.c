/* SPDX-License-Identifier: MIT */
/* The log. The only place that writes to standard error, and only when the environment variable PGDBM_DEBUG asks. */
#include "config/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const names[] = {"", "error", "warning", "info", "debug"};

static void to_standard_error(pgdbm_log_level level, const char *message, void *context)
{
    (void)context;
    char when[32];
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &parts);
    strftime(when, sizeof when, "%H:%M:%S", &parts);
    fprintf(stderr, "%s.%03ld pgdbm %s: %s\n", when, now.tv_nsec / 1000000, names[level], message);
}

static pgdbm_log_level level_of(const char *text)
{
    for (int level = PGDBM_LOG_ERROR; level <= PGDBM_LOG_DEBUG; level++)
        if (strcmp(text, names[level]) == 0)
            return (pgdbm_log_level)level;
    return PGDBM_LOG_DEBUG;
}

void pgdbm__log_init(struct pgdbm__log *log, const pgdbm_config *config)
{
    const char *debug = getenv("PGDBM_DEBUG");
    bool asked = debug != NULL && debug[0] != '\0' && strcmp(debug, "0") != 0;
    *log = (struct pgdbm__log){config->log, config->log_context, config->log_level};
    if (log->level == PGDBM_LOG_DEFAULT)
        log->level = asked ? level_of(debug) : PGDBM_LOG_WARNING;
    if (log->callback == NULL && asked)
        log->callback = to_standard_error;
}

void pgdbm__log_write(const struct pgdbm__log *log, pgdbm_log_level level, const char *format, ...)
{
    if (!pgdbm__log_enabled(log, level))
        return;
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    for (char *at = message; *at != '\0'; at++)
        if (*at == '\n' || *at == '\r')
            *at = ' ';
    log->callback(level, message, log->context);
}
