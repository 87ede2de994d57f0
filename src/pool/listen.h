/* SPDX-License-Identifier: MIT */
/* The pool's listeners, from inside. */
#ifndef PGDBM_POOL_LISTEN_H
#define PGDBM_POOL_LISTEN_H

#include "pool/task.h"

#include <pgdbm/listen.h>

/* Where it is told that a schema has changed; the payload is its name, "": any. A hub listens to it, too. */
#define PGDBM__SCHEMA_CHANNEL "pgdbm_schema"

/* Adds a listener to `physical`, the channel's name on the server, which is told of as `channel`. */
pgdbm_status pgdbm__hub_listen(struct pgdbm_pool *pool, const char *physical, const char *channel,
                               pgdbm_event_callback on_event, void *context, pgdbm_listener **listener,
                               pgdbm_error *err);

#endif
