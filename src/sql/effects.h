/* SPDX-License-Identifier: MIT */
/* What a statement may do to the session that runs it, read off its text once, so that the engine knows where to run it
 * and what to clean up behind it. A scan, not a parse: when in doubt the flag is set, and a flag too many costs speed
 * only. What hides inside a function, a view or a DO block cannot be seen here; FUNCTION says that there is a place
 * where it could hide. */
#ifndef PGDBM_SQL_EFFECTS_H
#define PGDBM_SQL_EFFECTS_H

#include <stddef.h>

/* Leaves something in the session when it succeeds: a setting, a role, a temporary object, a lock, a prepared
 * statement, a subscription, a cursor. */
#define PGDBM__EFFECT_SESSION 0x01U
/* Begins, ends or divides a transaction. */
#define PGDBM__EFFECT_TRANSACTION 0x02U
/* COPY ... FROM STDIN or TO STDOUT. */
#define PGDBM__EFFECT_COPY 0x04U
/* Has a RETURNING of its own, outside of parentheses. */
#define PGDBM__EFFECT_RETURNING 0x08U
/* Calls a function that is not among the harmless ones (harmless.h), or runs code that is not in the text. */
#define PGDBM__EFFECT_FUNCTION 0x10U
/* Anything but SELECT, VALUES, TABLE, SHOW, EXPLAIN without ANALYZE, and WITH without a statement that modifies data.
 */
#define PGDBM__EFFECT_WRITE 0x20U
/* More than one statement. The other flags are those of all together. */
#define PGDBM__EFFECT_MANY 0x40U

/* The flags of a text; 0 when there is no statement in it. A text in which something stays open, which the server will
 * refuse, has SESSION, FUNCTION and WRITE. Linear time; any thread. */
unsigned pgdbm__sql_effects(const char *sql, size_t bytes);

#endif
