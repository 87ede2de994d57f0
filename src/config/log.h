/* SPDX-License-Identifier: MIT */
/* Where messages go: the user's callback, or standard error when PGDBM_DEBUG asks for it. */
#ifndef PGDBM_CONFIG_LOG_H
#define PGDBM_CONFIG_LOG_H

#include <pgdbm/config.h>

struct pgdbm__log {
    pgdbm_log_callback callback;
    void *context;
    pgdbm_log_level level;
};

void pgdbm__log_init(struct pgdbm__log *log, const pgdbm_config *config);

static inline bool pgdbm__log_enabled(const struct pgdbm__log *log, pgdbm_log_level level)
{
    return log->callback != NULL && level <= log->level;
}

/* One line; call it without locks. */
void pgdbm__log_write(const struct pgdbm__log *log, pgdbm_log_level level, const char *format, ...) PGDBM_PRINTF(3, 4);

#endif
