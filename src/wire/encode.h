/* SPDX-License-Identifier: MIT */
/* Frontend messages, appended to a buffer. A buffer that fails stays failed, so a group of messages is checked once at
 * its end. The messages are those of PostgreSQL documentation 55.7. */
#ifndef PGDBM_WIRE_ENCODE_H
#define PGDBM_WIRE_ENCODE_H

#include "base/buffer.h"

/* A message is opened by its type byte and closed by writing its length; the position in between is the caller's to
 * keep. */
size_t pgdbm__wire_begin(struct pgdbm__buffer *out, char type);
void pgdbm__wire_end(struct pgdbm__buffer *out, size_t begin);
void pgdbm__wire_int16(struct pgdbm__buffer *out, int16_t value);
void pgdbm__wire_int32(struct pgdbm__buffer *out, int32_t value);
/* The bytes and a terminating NUL. */
void pgdbm__wire_string(struct pgdbm__buffer *out, const char *text, size_t bytes);

/* Parse: `types` may name the parameters' types, so that every session understands the statement alike. */
void pgdbm__wire_parse(struct pgdbm__buffer *out, const char *name, const char *sql, size_t sql_bytes,
                       const uint32_t *types, size_t n_types);
void pgdbm__wire_describe_statement(struct pgdbm__buffer *out, const char *name);
void pgdbm__wire_close_statement(struct pgdbm__buffer *out, const char *name);
/* The portal without a name is "". 0 rows means all. */
void pgdbm__wire_execute(struct pgdbm__buffer *out, const char *portal, int32_t max_rows);
void pgdbm__wire_close_portal(struct pgdbm__buffer *out, const char *portal);
void pgdbm__wire_sync(struct pgdbm__buffer *out);
/* Query: the simple protocol. */
void pgdbm__wire_query(struct pgdbm__buffer *out, const char *sql, size_t sql_bytes);
/* CopyData, CopyDone, CopyFail. */
void pgdbm__wire_copy_data(struct pgdbm__buffer *out, const void *data, size_t bytes);
void pgdbm__wire_copy_done(struct pgdbm__buffer *out);
void pgdbm__wire_copy_fail(struct pgdbm__buffer *out, const char *reason);
void pgdbm__wire_terminate(struct pgdbm__buffer *out);

#endif
