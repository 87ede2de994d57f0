/* SPDX-License-Identifier: MIT */
/* Growable bytes. No state of its own. */
#include "base/buffer.h"

#include "base/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool pgdbm__buffer_reserve(struct pgdbm__buffer *buffer, size_t bytes)
{
    if (buffer->failed)
        return false;
    if (bytes <= buffer->capacity - buffer->length)
        return true;
    size_t capacity = buffer->capacity < 64 ? 64 : buffer->capacity;
    if (bytes > SIZE_MAX / 2 - buffer->length) {
        buffer->failed = true;
        return false;
    }
    while (capacity - buffer->length < bytes)
        capacity *= 2;
    char *data = pgdbm__realloc(buffer->data, capacity);
    if (data == NULL) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

void pgdbm__buffer_append(struct pgdbm__buffer *buffer, const void *data, size_t bytes)
{
    if (bytes > 0 && pgdbm__buffer_reserve(buffer, bytes)) {
        memcpy(buffer->data + buffer->length, data, bytes);
        buffer->length += bytes;
    }
}

void pgdbm__buffer_text(struct pgdbm__buffer *buffer, const char *text)
{
    pgdbm__buffer_append(buffer, text, strlen(text));
}

void pgdbm__buffer_format(struct pgdbm__buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int needed = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (needed < 0)
        buffer->failed = true;
    else if (pgdbm__buffer_reserve(buffer, (size_t)needed + 1)) {
        vsnprintf(buffer->data + buffer->length, (size_t)needed + 1, format, again);
        buffer->length += (size_t)needed;
    }
    va_end(again);
}

char *pgdbm__buffer_take(struct pgdbm__buffer *buffer)
{
    char *data = NULL;
    if (pgdbm__buffer_reserve(buffer, 1)) {
        buffer->data[buffer->length] = '\0';
        data = buffer->data;
        *buffer = (struct pgdbm__buffer){0};
    }
    return data;
}

void pgdbm__buffer_free(struct pgdbm__buffer *buffer)
{
    pgdbm__free(buffer->data);
    *buffer = (struct pgdbm__buffer){0};
}
