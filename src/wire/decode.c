/* SPDX-License-Identifier: MIT */
/* Backend messages. No state. */
#include "wire/decode.h"

#include <stdlib.h>
#include <string.h>

/* The longest message believed: PostgreSQL's own limit of a value, 1 GiB, and room for a row's other columns. */
#define MESSAGE_LIMIT (INT32_C(0x7fffffff) - 16)
/* Messages that are short by nature: a long one means that the two sides have lost step. */
#define SHORT_LIMIT 30000

static uint32_t get_uint32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The greatest body of a message type, or -1 for a type that does not exist. */
static int32_t body_limit(unsigned char type)
{
    switch (type) {
    case 'D': /* DataRow */
    case 'd': /* CopyData */
    case 'E': /* ErrorResponse */
    case 'N': /* NoticeResponse */
    case 'T': /* RowDescription */
    case 't': /* ParameterDescription */
    case 'A': /* NotificationResponse */
    case 'V': /* FunctionCallResponse */
        return MESSAGE_LIMIT;
    case '1': /* ParseComplete */
    case '2': /* BindComplete */
    case '3': /* CloseComplete */
    case 'n': /* NoData */
    case 'I': /* EmptyQueryResponse */
    case 's': /* PortalSuspended */
    case 'c': /* CopyDone */
        return 0;
    case 'Z': /* ReadyForQuery */
        return 1;
    case 'C': /* CommandComplete */
    case 'S': /* ParameterStatus */
    case 'K': /* BackendKeyData */
    case 'R': /* Authentication */
    case 'G': /* CopyInResponse */
    case 'H': /* CopyOutResponse */
    case 'W': /* CopyBothResponse */
    case 'v': /* NegotiateProtocolVersion */
        return SHORT_LIMIT;
    default:
        return -1;
    }
}

enum pgdbm__wire_found pgdbm__wire_next(unsigned char *data, size_t available, struct pgdbm__message *message,
                                        size_t *size)
{
    *size = 5;
    if (available < 1)
        return PGDBM__WIRE_PARTIAL;
    int32_t limit = body_limit(data[0]);
    if (limit < 0)
        return PGDBM__WIRE_BROKEN;
    if (available < 5)
        return PGDBM__WIRE_PARTIAL;
    uint32_t length = get_uint32(data + 1);
    if (length < 4 || length - 4 > (uint32_t)limit)
        return PGDBM__WIRE_BROKEN;
    *size = (size_t)length + 1;
    message->type = (char)data[0];
    if (available < *size)
        return PGDBM__WIRE_PARTIAL;
    message->body = data + 5;
    message->bytes = (size_t)length - 4;
    return PGDBM__WIRE_MESSAGE;
}

bool pgdbm__wire_error(const unsigned char *body, size_t bytes, struct pgdbm__wire_error *error)
{
    *error = (struct pgdbm__wire_error){"", "", "", "", "", "", "", "", 0};
    size_t at = 0;
    const char *translated = "";
    while (at < bytes && body[at] != '\0') {
        char field = (char)body[at++];
        const char *text = (const char *)body + at;
        const unsigned char *end = memchr(body + at, '\0', bytes - at);
        if (end == NULL)
            return false;
        at = (size_t)(end - body) + 1;
        switch (field) {
        case 'S':
            translated = text;
            break;
        case 'V':
            error->severity = text;
            break;
        case 'C':
            error->sqlstate = text;
            break;
        case 'M':
            error->message = text;
            break;
        case 'D':
            error->detail = text;
            break;
        case 'H':
            error->hint = text;
            break;
        case 'n':
            error->constraint = text;
            break;
        case 'R':
            error->routine = text;
            break;
        case 'W':
            error->context = text;
            break;
        case 'P':
            error->position = atoi(text);
            break;
        default: /* fields of later versions are to be skipped */
            break;
        }
    }
    if (error->severity[0] == '\0') /* servers before 9.6 */
        error->severity = translated;
    return at < bytes;
}

bool pgdbm__wire_parameter_status(const unsigned char *body, size_t bytes, const char **name, const char **value)
{
    const unsigned char *end = memchr(body, '\0', bytes);
    if (end == NULL)
        return false;
    size_t name_bytes = (size_t)(end - body) + 1;
    if (memchr(body + name_bytes, '\0', bytes - name_bytes) == NULL)
        return false;
    *name = (const char *)body;
    *value = (const char *)body + name_bytes;
    return true;
}

bool pgdbm__wire_notification(const unsigned char *body, size_t bytes, int *sender, const char **channel,
                              const char **payload)
{
    if (bytes < 4)
        return false;
    *sender = (int)get_uint32(body);
    return pgdbm__wire_parameter_status(body + 4, bytes - 4, channel, payload); /* two texts, as there */
}

bool pgdbm__wire_command(const unsigned char *body, size_t bytes, const char **tag, int64_t *rows)
{
    const unsigned char *end = memchr(body, '\0', bytes);
    if (end == NULL)
        return false;
    *tag = (const char *)body;
    *rows = 0;
    const unsigned char *digit = end;
    while (digit > body && digit[-1] >= '0' && digit[-1] <= '9')
        digit--;
    if (digit == body || digit == end || digit[-1] != ' ' || end - digit > 18)
        return true;
    for (; digit < end; digit++)
        *rows = *rows * 10 + (*digit - '0');
    return true;
}

bool pgdbm__wire_parameter_types(const unsigned char *body, size_t bytes, size_t *count)
{
    if (bytes < 2)
        return false;
    *count = (size_t)body[0] << 8 | body[1];
    return bytes == 2 + *count * 4;
}

uint32_t pgdbm__wire_parameter_type(const unsigned char *body, size_t number)
{
    return get_uint32(body + 2 + number * 4);
}

bool pgdbm__wire_ready(const unsigned char *body, size_t bytes, char *status)
{
    if (bytes != 1 || (body[0] != 'I' && body[0] != 'T' && body[0] != 'E'))
        return false;
    *status = (char)body[0];
    return true;
}
