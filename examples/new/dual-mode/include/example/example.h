/* SPDX-License-Identifier: MIT */
/* A library with tables: it lives on a database of its own, or inside of a host on the host's pool. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <pgdbm/pgdbm.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct example_library example_library;

/* `source` is a connection string, the host's manager or the host's pool, and optionally a schema; see <pgdbm/module.h>.
 * The library's tables are made or brought up to date. `*library` is the caller's, released with example_close. */
pgdbm_status example_open(const pgdbm_source *source, example_library **library, pgdbm_error *err);

/* Ends what the library opened, nothing of the host's. NULL is legal. */
void example_close(example_library *library);

pgdbm_status example_add_note(example_library *library, const char *text, int64_t *id, pgdbm_error *err);
pgdbm_status example_count_notes(example_library *library, int64_t *notes, pgdbm_error *err);

#ifdef __cplusplus
}
#endif
#endif
