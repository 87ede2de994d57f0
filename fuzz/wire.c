/* SPDX-License-Identifier: MIT */
/* Any bytes as the server's: whatever is found must lie inside them. */
#include "wire/decode.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void read_message(const struct pgdbm__message *message)
{
    struct pgdbm__wire_error error;
    const char *name;
    const char *value;
    int64_t rows;
    size_t count;
    char status;
    if (pgdbm__wire_error(message->body, message->bytes, &error))
        require(strlen(error.message) + strlen(error.detail) <= message->bytes * 2);
    if (pgdbm__wire_parameter_status(message->body, message->bytes, &name, &value))
        require(strlen(name) + strlen(value) + 2 <= message->bytes);
    if (pgdbm__wire_command(message->body, message->bytes, &name, &rows))
        require(rows >= 0 && strlen(name) < message->bytes);
    if (pgdbm__wire_parameter_types(message->body, message->bytes, &count))
        for (size_t i = 0; i < count; i++)
            (void)pgdbm__wire_parameter_type(message->body, i);
    (void)pgdbm__wire_ready(message->body, message->bytes, &status);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char *copy = malloc(size + 1);
    if (copy == NULL)
        return 0;
    memcpy(copy, data, size);
    size_t at = 0;
    for (;;) {
        struct pgdbm__message message;
        size_t taken;
        if (pgdbm__wire_next(copy + at, size - at, &message, &taken) != PGDBM__WIRE_MESSAGE)
            break;
        require(taken >= 5 && taken <= size - at && message.bytes + 5 == taken);
        read_message(&message);
        at += taken;
    }
    free(copy);
    return 0;
}
