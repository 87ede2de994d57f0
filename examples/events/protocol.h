/* SPDX-License-Identifier: MIT */
/* The protocol: a line each way, UTF-8, ended by LF or CR LF.
 *
 * | client         | server                                                                                     |
 * |----------------|--------------------------------------------------------------------------------------------|
 * | PUBLISH text   | OK PUBLISH id                                                                              |
 * | SUBSCRIBE      | OK SUBSCRIBE id, and from then on EVENT id text for each event after that one              |
 * | UNSUBSCRIBE    | OK UNSUBSCRIBE                                                                             |
 * | LAST n         | PAST id text for each of the last n events (64 at most), oldest first; then OK LAST count  |
 * | anything else  | ERROR and why                                                                              |
 *
 * Answers come in the order of the lines. */
#ifndef EVENTS_PROTOCOL_H
#define EVENTS_PROTOCOL_H

#include "client.h"

/* Does what a line says. `line` ends with NUL, and has no other unless `bytes` is more than its length. */
void protocol_line(struct client *client, const char *line, size_t bytes);

#endif
