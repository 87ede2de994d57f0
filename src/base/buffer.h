/* SPDX-License-Identifier: MIT */
/* A growable run of bytes. Appending to a buffer that has failed does nothing, so a message is composed without
 * checking each step: look at `failed` once at the end. Zero-initialise; not thread-safe. */
#ifndef PGDBM_BASE_BUFFER_H
#define PGDBM_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pgdbm__buffer {
    char *data;
    size_t length;
    size_t capacity;
    bool failed; /* an allocation failed; the content is what it was before */
};

/* Makes room for `bytes` more. False (and `failed`) when memory is short. */
bool pgdbm__buffer_reserve(struct pgdbm__buffer *buffer, size_t bytes);
void pgdbm__buffer_append(struct pgdbm__buffer *buffer, const void *data, size_t bytes);
void pgdbm__buffer_text(struct pgdbm__buffer *buffer, const char *text);
void pgdbm__buffer_format(struct pgdbm__buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Ends the content with NUL (not counted in length) and hands it over; NULL when the buffer failed. The buffer is empty
 * then. */
char *pgdbm__buffer_take(struct pgdbm__buffer *buffer);
void pgdbm__buffer_free(struct pgdbm__buffer *buffer);

#endif
