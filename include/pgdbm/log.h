/* SPDX-License-Identifier: MIT */
/* The library prints nothing of its own accord. Give a pool a callback in its configuration, or set PGDBM_DEBUG in the
 * environment (error, warning, info, debug; "1" means debug) to see the messages on standard error. */
#ifndef PGDBM_LOG_H
#define PGDBM_LOG_H

#include <pgdbm/export.h>

typedef enum pgdbm_log_level {
    PGDBM_LOG_DEFAULT = 0, /* as configured: PGDBM_LOG_WARNING unless PGDBM_DEBUG says otherwise */
    PGDBM_LOG_ERROR,
    PGDBM_LOG_WARNING,
    PGDBM_LOG_INFO,
    PGDBM_LOG_DEBUG
} pgdbm_log_level;

/* Called from whichever thread has something to say, several at once, with no pgdbm lock held. `message` is one line
 * without passwords and without parameter values, valid during the call only. It must not call into the same pool. */
typedef void (*pgdbm_log_callback)(pgdbm_log_level level, const char *message, void *context);

#endif
