/* SPDX-License-Identifier: MIT */
/* Backend messages, found in bytes. Nothing is copied: what is handed out points into the caller's bytes. */
#ifndef PGDBM_WIRE_DECODE_H
#define PGDBM_WIRE_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pgdbm__message {
    char type;
    unsigned char *body;
    size_t bytes; /* of the body */
};

enum pgdbm__wire_found {
    PGDBM__WIRE_MESSAGE, /* *message is complete; *size is what it takes with its head */
    PGDBM__WIRE_PARTIAL, /* *size is what it will take (and message->type its type), or 5 when not even the head is there */
    PGDBM__WIRE_BROKEN /* no such type, or an impossible length: the connection must be closed */
};

/* The message at the beginning of `data`. */
enum pgdbm__wire_found pgdbm__wire_next(unsigned char *data, size_t available, struct pgdbm__message *message,
                                        size_t *size);

/* ErrorResponse and NoticeResponse. Every text ends with NUL and is "" when the server did not send the field. */
struct pgdbm__wire_error {
    const char *severity; /* never translated: FATAL, ERROR, ... */
    const char *sqlstate;
    const char *message;
    const char *detail;
    const char *hint;
    const char *constraint;
    const char *routine;
    const char *context; /* what the server was at; many lines, perhaps with values */
    int position;
};

/* False when the body is malformed. */
bool pgdbm__wire_error(const unsigned char *body, size_t bytes, struct pgdbm__wire_error *error);

/* ParameterStatus, and the rows of CommandComplete ("INSERT 0 5" is 5; a tag without a number is 0). */
bool pgdbm__wire_parameter_status(const unsigned char *body, size_t bytes, const char **name, const char **value);
bool pgdbm__wire_command(const unsigned char *body, size_t bytes, const char **tag, int64_t *rows);

/* NotificationResponse: the backend that sent it, and two texts. */
bool pgdbm__wire_notification(const unsigned char *body, size_t bytes, int *sender, const char **channel,
                              const char **payload);

/* ParameterDescription: how many types there are, and one of them. */
bool pgdbm__wire_parameter_types(const unsigned char *body, size_t bytes, size_t *count);
uint32_t pgdbm__wire_parameter_type(const unsigned char *body, size_t number);

/* ReadyForQuery: 'I', 'T' or 'E'. */
bool pgdbm__wire_ready(const unsigned char *body, size_t bytes, char *status);

#endif
