/* SPDX-License-Identifier: MIT */
/* The two queries behind a drift report. */
#ifndef PGDBM_FLEET_DRIFT_H
#define PGDBM_FLEET_DRIFT_H

#include "fleet/fleet.h"

/* Appends the query that gives schema, fingerprint and how many schemas share it, by schema: of the fleet's schemas that are
 * there, and of `reference` (may be NULL). Wants search_path empty. */
void pgdbm__drift_append_fingerprints(const pgdbm_fleet *fleet, const char *reference, struct pgdbm__buffer *sql);

/* Appends the query that gives the objects of one schema ($1: its name; $2: tables to be left out): object, the object that it is a part of (NULL: none),
 * definition; by object, byte by byte. Wants search_path to be that schema, so that its own name is not in the definitions. Two
 * schemas with the same fingerprint have the same objects; the reverse does not hold where columns stand at other places. */
void pgdbm__drift_append_objects(struct pgdbm__buffer *sql);

#endif
